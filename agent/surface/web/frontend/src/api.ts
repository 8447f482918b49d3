// Made by `python -m agent.surface.web.types`; a change here is lost and fails a test.

export type State = GuardSnapshot & Beside;

export interface ActionView {
  action: string;
  reason: string;
  at: string;
  by: string;
  purpose: string;
}

export interface AgainstView {
  code: string;
  text: string;
  next_step: string;
  ack: string | null;
}

export interface Beside {
  bridges: Record<string, unknown>[];
  gates: Record<string, VerdictView>;
  releases: ReleasesView | null;
  flashing: FlashingView | null;
  recovery: CablesView | null;
  zone: string;
}

export interface Breach {
  at: string;
  of: string;
  cause: string;
  seconds: number | null;
  most_w: number | null;
  text: string;
}

export interface BreakerView {
  is_open: boolean;
  failures: number;
  last_failure: string | null;
  retry_in_s: number;
}

export interface BridgeView {
  mac: string;
  title: string;
  name: string;
  address: string;
  project: string;
  version: string;
  esphome: string;
  board: string;
  kind: string;
  state: string;
  words: string;
  since: string;
  next_step: string;
  findings: Finding[];
}

export interface BuildShown {
  sha256: string;
  size: number;
  layout: string;
  chip: string | null;
  project: string | null;
  version: string | null;
  built: string | null;
  idf: string | null;
  whole: boolean;
  signatures: number;
  sentence: string;
}

export interface BuildView {
  sha256: string;
  size: number;
  layout: string;
  chip: string;
  project: string;
  version: string;
  accepted: string | null;
  notes: string;
}

export interface CableChecked {
  accepted: boolean;
  code: string;
  text: string;
  refusals: AgainstView[];
  digest: string;
}

export interface CableJobView {
  job: string;
  way: string;
  port: string;
  mac: string;
  title: string;
  project: string;
  version: string;
  before: string;
  stage: string;
  failed_in: string | null;
  open: boolean;
  percent: number;
  text: string;
  rate_bytes_s: number | null;
  left_s: number | null;
  by: string;
  acks: string[];
  goes_back: boolean;
  campaign: string;
  asked: string | null;
  ended: string | null;
  sent: boolean;
  writes: boolean;
  may_cancel: boolean;
  upload: string;
  result: string | null;
  code: string;
  evidence: string[];
  next_step: string;
  log: string[];
  has_log: boolean;
}

export interface CableReleaseView {
  channel: string;
  project: string;
  version: string;
}

export interface CablesView {
  writes: boolean;
  fault: string;
  ports: PortView[];
  jobs: CableJobView[];
  needs_flashing: string[];
}

export interface CampaignView {
  campaign: string;
  project: string;
  version: string;
  status: string;
  why: string;
  by: string;
  planned: string | null;
  parallel: number;
  counts: Record<string, number>;
  members: MemberView[];
}

export interface Changes {
  target_export_w?: number;
  min_soc_percent?: number;
  charge_target_soc_percent?: number;
  charge_power_kw?: number;
  battery_capacity_kwh?: number;
  sun_percent?: number;
  load_percent?: number;
}

export interface CheckView {
  code: string;
  verdict: string;
  text: string;
  next_step: string;
}

export interface Checked {
  entities: EntityCheck[];
  findings: string[];
}

export interface ChipView {
  at: string | null;
  text: string;
  chip: string;
  description: string;
  revision: string | null;
  mac: string;
  flash_size: number | null;
  locks: string[];
  table: PartView[];
  app: string;
  known: string;
  needs_flashing: boolean;
  channel: string;
  releases: CableReleaseView[];
}

export interface CommissioningView {
  passed: boolean;
  running: boolean;
  stage: string;
  text: string;
  progress_percent: number;
  delay_s: number | null;
  exit_lag_s: number | null;
  gain: number | null;
  at: string | null;
  dead_s: number | null;
  counter_lag_s: number | null;
  rewrite_extends: boolean | null;
  rounds_up: boolean;
  full: boolean;
  firmware: string;
  checks: CheckView[];
}

export interface DayReport {
  day: string;
  recorded_s: number;
  limit_w: number | null;
  most_export_w: number | null;
  margin_w: number | null;
  over_limit_s: number;
  allowance_wh: number | null;
  exported_wh: number | null;
  margin_wh: number | null;
  operations: Record<string, number>;
  stops: Record<string, number>;
  stops_verified: number;
  faults: Record<string, number>;
  breaches: Breach[];
  breaches_left_out: number;
}

export interface EnergyView {
  day: string;
  produced_wh: number | null;
  exported_wh: number | null;
  exported_upper_wh: number | null;
  allowance_wh: number | null;
  headroom_wh: number | null;
  left_wh: number | null;
  forecast_wh: number | null;
  breach: boolean;
  period: string;
}

export interface EntityCheck {
  key: string;
  chosen: string[];
  used: string[];
  verdict: string;
  value: number | null;
  unit: string;
  text: string;
  updated_at: number | null;
}

export type ErrorState = "none" | "soc_read_failed" | "stale_data" | "no_data" | "discharge_power_set_failed" | "discharge_start_failed" | "discharge_stop_failed" | "lost_input" | "foreign_controller" | "over_export";

export interface Finding {
  code: FindingCode;
  text: string;
}

export type FindingCode = "duplicate_name" | "name_taken" | "renamed" | "moved" | "safe_mode" | "key_missing" | "wrong_key" | "not_encrypted" | "wrong_device" | "hung" | "unreachable" | "keyless" | "plaintext" | "foreign";

export interface FlashingView {
  fault: string;
  jobs: JobView[];
  campaigns: CampaignView[];
  may_go_back: string[];
}

export interface GateView {
  gate: string;
  name: string;
  result: string;
  evidence: string;
  at: string | null;
}

export interface GuardSnapshot {
  at: string;
  mode: Mode;
  path: string;
  linked: boolean;
  phase: Phase;
  reason: Reason;
  latched: boolean;
  blockers: Reason[];
  problems: Reason[];
  health: HealthStatus;
  error_state: ErrorState;
  data_staleness_s: number | null;
  breaker: BreakerView;
  energy: EnergyView;
  power: PowerView;
  soc_percent: number | null;
  min_soc_percent: number;
  reserve_soc_percent: number | null;
  lease: LeaseView | null;
  commissioning: CommissioningView;
  readings: ReadingView[];
  last_action: ActionView | null;
  stale_after_s: number | null;
  observe_reserve_soc: boolean;
  reserve_reached: boolean | null;
  wish: string | null;
  completed: boolean;
  statistics: StatisticsView;
  plan: PlanView | null;
  outlook: PlanPicture | null;
  plan_waits: Reason | null;
}

export type HealthStatus = "Healthy" | "Stale Data" | "Circuit Breaker Open" | "Error";

export interface History {
  at: number[];
  grid_w: (number | null)[];
  battery_w: (number | null)[];
  pv_w: (number | null)[];
  load_w: (number | null)[];
  limit_w: (number | null)[];
  commanded_w: (number | null)[];
  soc_percent: (number | null)[];
  exported_wh: (number | null)[];
  allowance_wh: (number | null)[];
}

export interface JobView {
  job: string;
  way: string;
  port: string;
  mac: string;
  title: string;
  project: string;
  version: string;
  before: string;
  stage: string;
  failed_in: string | null;
  open: boolean;
  percent: number;
  text: string;
  rate_bytes_s: number | null;
  left_s: number | null;
  by: string;
  acks: string[];
  goes_back: boolean;
  campaign: string;
  asked: string | null;
  ended: string | null;
  sent: boolean;
  writes: boolean;
  may_cancel: boolean;
  upload: string;
  result: string | null;
  code: string;
  evidence: string[];
  next_step: string;
}

export interface LeaseView {
  kind: string;
  power_w: number;
  duration_s: number;
  remaining_s: number;
  worst_case_wh: number;
  confirmed: boolean;
}

export interface LeftView {
  old_key: string;
  old_value: string;
  text: string;
}

export interface Line {
  id: number;
  at: string;
  kind: string;
  text: string;
  data: Record<string, unknown>;
}

export interface Lines {
  events: Line[];
  next: number | null;
}

export interface LingeringView {
  name: string;
  text: string;
}

export interface MemberView {
  mac: string;
  title: string;
  canary: boolean;
  standing: string;
  until: string | null;
  attempts: number;
}

export type Mode = "observe" | "control";

export interface OfferView {
  mac: string;
  title: string | null;
  channel: string;
  own_channel: string | null;
  project: string | null;
  installed: string | null;
  standing: string;
  why: string;
  source: string;
  latest: string | null;
  released: string | null;
  notes: string;
  notes_url: string | null;
  security: string | null;
  sha256: string | null;
  size: number | null;
  refusals: AgainstView[];
  missing: string[];
  floor: number;
}

export interface OldEntryView {
  entry_id: string;
  name: string;
  title: string;
  standing: string;
  state: string;
  accepted: boolean;
  can_be_turned_off: boolean;
}

export interface OldPlanView {
  proposals: ProposalView[];
  left: LeftView[];
  changes: string[];
}

export interface OldSettings {
  locked: string[];
  doubt: string;
  entries: OldEntryView[];
  lingering: LingeringView[];
  plan: OldPlanView | null;
}

export interface PartView {
  label: string;
  offset: number;
  size: number;
  app: boolean;
}

export type Phase = "IDLE" | "DISCHARGE_NEEDED" | "DISCHARGE_ACTIVE" | "DISCHARGE_COMPLETE" | "CHARGE_ACTIVE" | "REST_ACTIVE" | "ERROR_STATE";

export interface PlanPicture {
  made_at: string;
  method: string;
  aim: string;
  currency: string;
  reason: Reason;
  gain: number;
  points: PlanPoint[];
  windows: PlanWindow[];
  sources: PlanSource[];
}

export interface PlanPoint {
  begins: string;
  ends: string;
  action: string;
  pv_w: number;
  load_w: number;
  battery_w: number;
  grid_w: number;
  soc_percent: number;
  carbon_g_per_kwh: number | null;
  buy_per_kwh: number | null;
  sell_per_kwh: number | null;
}

export interface PlanSlot {
  begins: string;
  ends: string;
  energy_wh: number;
  carbon_g_per_kwh: number | null;
}

export interface PlanSource {
  name: string;
  source: string;
  ends: string | null;
  text: string;
}

export interface PlanView {
  today: PlanSlot[];
  tomorrow: PlanSlot[];
  charge: PlanSlot[];
  slot: SlotView | null;
  carbon_g_per_kwh: number | null;
  carbon_index: string | null;
  auto_discharge: boolean;
  auto_charge: boolean;
  auto_rest: boolean;
  parse_errors: number;
  reason: Reason | null;
  made_at: string | null;
}

export interface PlanWindow {
  action: string;
  begins: string;
  ends: string;
  energy_wh: number;
  power_w: number;
  soc_percent: number;
  why: Reason;
}

export interface PortView {
  port: string;
  node: string;
  socket: string;
  title: string;
  kind: string;
  stick: boolean;
  mac: string;
  used_by: string[];
  phase: string;
  code: string;
  text: string;
  device: ChipView | null;
}

export interface PowerView {
  grid_w: number | null;
  battery_w: number | null;
  pv_w: number | null;
  load_w: number | null;
  limit_w: number | null;
  target_w: number;
  commanded_w: number;
}

export interface ProposalView {
  key: string;
  value: string;
  now: string;
  old_key: string;
  old_value: string;
  text: string;
  chosen: boolean;
}

export interface ReadingView {
  name: string;
  value: number | null;
  unit: string;
  age_s: number | null;
  quality: string;
  source: string;
  detail: string;
  fresh: boolean;
}

export interface Reason {
  code: string;
  text: string;
  source: string;
}

export interface ReleasesView {
  state: string;
  hint: string;
  channel: string;
  channels: string[];
  sources: SourceView[];
  bridges: OfferView[];
  looking: boolean;
  warning: string;
  builds: BuildView[];
}

export interface Report {
  at: string;
  days: DayReport[];
}

export type RequestKind = "start_discharge" | "stop_discharge" | "start_charge" | "stop_charge" | "emergency_stop" | "acknowledge" | "commission" | "commission_full" | "calculate" | "reset_statistics";

export interface RoleView {
  role: string;
  version: number;
  expires: string | null;
}

export interface SettingField {
  key: string;
  group: string;
  kind: string;
  unit: string;
  minimum: number | null;
  maximum: number | null;
  step: number | null;
  choices: (string | number)[] | null;
  example: unknown;
  default: unknown;
  value: unknown;
  sentence: string;
}

export interface SettingsTold {
  values: Record<string, unknown>;
  fields: SettingField[];
}

export interface SlotView {
  target_wh: number;
  exported_wh: number;
  remaining_s: number;
}

export interface SourceChannelView {
  name: string;
  freshness: string;
  why: string;
  paused: boolean;
  reason: string;
  latest: Record<string, string>;
}

export interface SourceEventView {
  kind: string;
  carrier: string | null;
  text: string;
  at: string | null;
}

export interface SourceView {
  name: string;
  kind: string;
  freshness: string;
  why: string;
  words: string;
  confirmed: string | null;
  stale_since: string | null;
  carrier: string | null;
  development: boolean;
  root_sha256: string | null;
  roles: RoleView[];
  channels: SourceChannelView[];
  events: SourceEventView[];
}

export interface StatisticsView {
  start_discharge_success: number;
  start_discharge_fail: number;
  stop_discharge_success: number;
  stop_discharge_fail: number;
  start_charge_success: number;
  start_charge_fail: number;
  stop_charge_success: number;
  stop_charge_fail: number;
  since: string | null;
}

export interface Told {
  accepted: boolean;
  code: string;
  text: string;
}

export interface VerdictView {
  overall: string;
  at: string | null;
  holds_s: number;
  strict: boolean;
  gates: GateView[];
}
