// Writes dispatches, and ends the last one itself when nobody renews it.
//
// The inverter's own timer (Dispatch Time) is the guarantee; this is the net below it, for an inverter
// whose timer is wrong. A dispatch that went out through this bridge ends
//   - when its Dispatch Time is over and no other block came,
//   - when no client named as ours has been connected for `client_gone_for`,
//   - when an upload begins or the bridge restarts in order: the bus stands still meanwhile.
// The end is the reset block, written again until the registers show it. A dispatch of somebody else is
// left alone: only what was sent from here, in this run, is ended from here.
#pragma once
#include <array>
#include <string>

#include "esphome/components/modbus/modbus.h"
#include "esphome/core/component.h"

namespace esphome::alphaess_dispatch {

// What became of a command, until its caller has been told.
enum class Outcome : uint8_t { NONE, WAITING, ACKNOWLEDGED, REFUSED, UNANSWERED };

class Dispatch final : public Component, public modbus::ModbusClientDevice {
 public:
  void set_client_gone_for(uint32_t ms) { this->client_gone_for_ms_ = ms; }
  void set_max_power(int32_t power_w) { this->max_power_w_ = power_w; }

  // Sends one block as one frame. `number` names it in `outcome`; `soc_raw` is the register's own unit.
  // Positive power discharges. With `start` false it is the reset block and the rest is ignored.
  void command(int32_t number, bool start, int32_t power_w, int32_t soc_raw, int32_t duration_s);
  // What became of the command with this number; a newer command makes an older one UNANSWERED.
  Outcome outcome(int32_t number) const;
  // "refused: …" was certainly not carried out, "unanswered: …" may have been; empty if acknowledged.
  std::string why(int32_t number) const;
  // Drops the command from the queue, so that it does not run after its caller has given up.
  void give_up(int32_t number);

  // Ends our dispatch, if there is one, and returns when the inverter acknowledged or 2.5 s have passed.
  void end_now(const char *reason);

  void client_connected() { this->clients_++; }
  void client_disconnected();

  int32_t acknowledged() const { return this->acknowledged_; }
  bool armed() const { return this->armed_; }
  uint32_t ended() const { return this->ended_; }
  const std::string &ended_by() const { return this->ended_by_; }

  void loop() override;
  void on_safe_shutdown() override { this->end_now("restart"); }
  void dump_config() override;

  void on_write_multiple_registers(uint16_t address, std::span<const uint16_t> registers,
                                   modbus::ResponseStatus status) override;
  void on_read_holding_registers(uint16_t address, std::span<const uint16_t> registers,
                                 modbus::ResponseStatus status) override;
  void on_not_sent(std::span<const uint8_t> request) override { this->nothing_came_(request); }
  bool on_no_response(std::span<const uint8_t> request) override {
    this->nothing_came_(request);
    return false;
  }

 protected:
  using Block = std::array<uint16_t, 9>;
  // Of the dead-man's own reset: to write next, on its way, acknowledged, or being read back.
  enum class Ending : uint8_t { NO, WRITE, WRITING, READ, READING };

  void end_(const char *reason);
  void resolve_(Outcome outcome, const char *why);
  void nothing_came_(std::span<const uint8_t> request);
  void later_(Ending step);

  struct Lease {
    uint32_t begun_ms, length_ms;
  };

  Block sent_{};
  Lease lease_{}, asked_{};  // the one that holds, and that of the newest command
  int32_t number_{0}, acknowledged_{0}, max_power_w_{0};
  Outcome outcome_{Outcome::NONE};
  std::string why_, ended_by_;
  uint32_t client_gone_for_ms_{0}, gone_at_ms_{0}, due_ms_{0}, ended_{0};
  int clients_{0};
  bool armed_{false}, first_{false};
  Ending ending_{Ending::NO};
};

}  // namespace esphome::alphaess_dispatch
