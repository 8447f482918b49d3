#include "dispatch.h"

#include <algorithm>

#include "esphome/core/application.h"
#include "esphome/core/hal.h"
#include "esphome/core/log.h"

namespace esphome::alphaess_dispatch {

static const char *const TAG = "alphaess.dispatch";

static constexpr uint16_t ADDRESS = 0x0880;
static constexpr int32_t NEUTRAL_W = 32000;      // power 0; the register itself never is
static constexpr int32_t LONGEST_S = 900;        // longer than any lease
static constexpr uint16_t MODE_SOC_CONTROL = 2;
static constexpr uint32_t AGAIN_MS = 1000;       // between two attempts to end a dispatch
static constexpr uint32_t LONGEST_END_MS = 2500; // an upload or a restart waits that long for the reset
static constexpr std::array<uint16_t, 9> RESET = {0, 0, NEUTRAL_W, 0, NEUTRAL_W, 0, 0, 0, 90};

void Dispatch::command(int32_t number, bool start, int32_t power_w, int32_t soc_raw, int32_t duration_s) {
  this->clear_tx_queue_for_device();  // nothing older may run after this
  this->number_ = number;
  this->outcome_ = Outcome::WAITING;
  this->why_.clear();
  this->sent_ = RESET;
  if (start) {
    if (power_w < -this->max_power_w_ || power_w > this->max_power_w_)
      return this->resolve_(Outcome::REFUSED, "the power is beyond max_power_w of this bridge");
    if (soc_raw < 0 || soc_raw > 255)
      return this->resolve_(Outcome::REFUSED, "soc_raw is not within 0 to 255");
    if (duration_s < 1 || duration_s > LONGEST_S)
      return this->resolve_(Outcome::REFUSED, "duration_s is not within 1 to 900");
    this->sent_ = {1, 0, static_cast<uint16_t>(NEUTRAL_W + power_w), 0, NEUTRAL_W, MODE_SOC_CONTROL,
                   static_cast<uint16_t>(soc_raw), 0, static_cast<uint16_t>(duration_s)};
    this->asked_ = {millis(), static_cast<uint32_t>(duration_s) * 1000};
    this->first_ = !this->armed_;
    if (this->first_) {  // it may run from now on, whether or not an answer comes
      this->armed_ = true;
      this->lease_ = this->asked_;
      if (this->clients_ == 0)
        this->gone_at_ms_ = this->asked_.begun_ms;
    }
  }
  this->ending_ = Ending::NO;
  if (!this->write_multiple_registers(ADDRESS, this->sent_))
    this->resolve_(Outcome::REFUSED, "the queue of the bus is full");
}

Outcome Dispatch::outcome(int32_t number) const {
  return number == this->number_ ? this->outcome_ : Outcome::UNANSWERED;
}

std::string Dispatch::why(int32_t number) const {
  const Outcome outcome = this->outcome(number);
  if (outcome == Outcome::ACKNOWLEDGED)
    return "";
  const std::string why = number == this->number_ ? this->why_ : "a newer command replaced it";
  return (outcome == Outcome::REFUSED ? "refused: " : "unanswered: ") + why;
}

void Dispatch::give_up(int32_t number) {
  if (number != this->number_ || this->outcome_ != Outcome::WAITING)
    return;
  this->clear_tx_queue_for_device();
  this->resolve_(Outcome::UNANSWERED, "no answer in time");
}

void Dispatch::end_(const char *reason) {
  ESP_LOGW(TAG, "Ending the dispatch: %s", reason);
  this->clear_tx_queue_for_device();
  if (this->outcome_ == Outcome::WAITING)
    this->resolve_(Outcome::UNANSWERED, "ended by the bridge");
  this->armed_ = false;
  this->ended_++;
  this->ended_by_ = reason;
  this->sent_ = RESET;
  this->ending_ = Ending::WRITE;
  this->due_ms_ = millis();
}

void Dispatch::end_now(const char *reason) {
  if (this->armed_)
    this->end_(reason);
  // Also an end that had begun and is not acknowledged yet.
  const uint32_t begun = millis();
  while ((this->ending_ == Ending::WRITE || this->ending_ == Ending::WRITING) && millis() - begun < LONGEST_END_MS) {
    this->loop();
    this->parent_->loop();
    App.feed_wdt();
    delay(1);
  }
}

void Dispatch::client_disconnected() {
  this->clients_ = std::max(0, this->clients_ - 1);
  if (this->clients_ == 0)
    this->gone_at_ms_ = millis();
}

void Dispatch::loop() {
  const uint32_t now = millis();
  if (this->armed_) {
    if (now - this->lease_.begun_ms >= this->lease_.length_ms) {
      this->end_("no renewal");
    } else if (this->clients_ == 0 && now - this->gone_at_ms_ >= this->client_gone_for_ms_) {
      this->end_("client gone");
    }
  }
  if (this->ending_ == Ending::NO || static_cast<int32_t>(now - this->due_ms_) < 0)
    return;
  // Only these two steps wait for their time; the others wait for an answer, or for none to come.
  if (this->ending_ == Ending::WRITE) {
    if (this->write_multiple_registers(ADDRESS, RESET))
      this->ending_ = Ending::WRITING;
  } else if (this->ending_ == Ending::READ) {
    if (this->read_holding_registers(ADDRESS, RESET.size()))
      this->ending_ = Ending::READING;
  }
}

void Dispatch::on_write_multiple_registers(uint16_t, std::span<const uint16_t> registers,
                                           modbus::ResponseStatus status) {
  const bool done = modbus::succeeded(status);
  if (this->ending_ == Ending::WRITING)
    return this->later_(done ? Ending::READ : Ending::WRITE);
  if (this->outcome_ != Outcome::WAITING || !std::equal(registers.begin(), registers.end(), this->sent_.begin()))
    return;
  const bool starts = this->sent_ != RESET;
  if (!done) {
    if (starts && this->first_)
      this->armed_ = false;
    return this->resolve_(Outcome::REFUSED, "the inverter refused the block");
  }
  // Only what the inverter acknowledged renews the lease: to end too early is the lesser fault.
  this->armed_ = starts;
  this->lease_ = this->asked_;
  this->acknowledged_ = this->number_;
  this->resolve_(Outcome::ACKNOWLEDGED, "");
}

void Dispatch::on_read_holding_registers(uint16_t, std::span<const uint16_t> registers,
                                         modbus::ResponseStatus status) {
  if (this->ending_ != Ending::READING)
    return;
  if (modbus::succeeded(status) && !registers.empty() && registers[0] == 0) {
    ESP_LOGI(TAG, "The registers show that the dispatch has ended");
    this->ending_ = Ending::NO;
  } else {
    this->later_(Ending::WRITE);
  }
}

void Dispatch::nothing_came_(std::span<const uint8_t>) {
  if (this->ending_ == Ending::WRITING || this->ending_ == Ending::READING)
    return this->later_(Ending::WRITE);
  if (this->outcome_ == Outcome::WAITING)
    this->resolve_(Outcome::UNANSWERED, "the inverter did not answer");
}

void Dispatch::resolve_(Outcome outcome, const char *why) {
  this->outcome_ = outcome;
  this->why_ = why;
  if (outcome != Outcome::ACKNOWLEDGED)
    ESP_LOGW(TAG, "Command %d: %s", static_cast<int>(this->number_), why);
}

void Dispatch::later_(Ending step) {
  this->ending_ = step;
  this->due_ms_ = millis() + (step == Ending::READ ? 0 : AGAIN_MS);
}

void Dispatch::dump_config() {
  ESP_LOGCONFIG(TAG,
                "Alpha ESS dispatch:\n"
                "  Ends itself without a client for: %u ms\n"
                "  Highest power: %d W",
                static_cast<unsigned>(this->client_gone_for_ms_), static_cast<int>(this->max_power_w_));
}

}  // namespace esphome::alphaess_dispatch
