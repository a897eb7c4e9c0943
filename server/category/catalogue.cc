#include "server/category/catalogue.h"

#include <algorithm>

#include "absl/time/clock.h"
#include "server/base/status.h"

namespace filo::category {
namespace {

constexpr std::string_view kTokenPrefix = "after:";

}  // namespace

Catalogue::Catalogue(std::shared_ptr<Store> store, Options options)
    : store_(std::move(store)), options_(std::move(options)) {}

absl::StatusOr<std::unique_ptr<Catalogue>> Catalogue::Start(std::shared_ptr<Store> store, Options options) {
  std::unique_ptr<Catalogue> catalogue(new Catalogue(std::move(store), std::move(options)));
  FILO_RETURN_IF_ERROR(catalogue->Follow());
  catalogue->follower_ = std::thread([raw = catalogue.get()] { raw->FollowForEver(); });
  return catalogue;
}

Catalogue::~Catalogue() {
  {
    const std::lock_guard lock(stop_mutex_);
    stopped_ = true;
  }
  stop_.notify_all();
  store_->database().StopWaiting();
  if (follower_.joinable()) {
    follower_.join();
    NoteUse();
  }
}

Catalogue::RecordPointer Catalogue::Find(const std::string& id) const {
  RecordPointer record;
  {
    const std::shared_lock lock(mutex_);
    const auto it = known_.find(id);
    if (it != known_.end()) record = it->second.record;
  }
  if (record != nullptr) {
    const std::lock_guard lock(use_mutex_);
    used_.insert(id);
  }
  return record;
}

absl::StatusOr<Catalogue::Page> Catalogue::List(std::size_t page_size, const std::string& page_token) const {
  if (!page_token.empty() && !page_token.starts_with(kTokenPrefix)) {
    return FieldError("page_token", page_token, "be the next_page_token of an earlier page, or empty");
  }
  Page page;
  const std::shared_lock lock(mutex_);
  auto it = page_token.empty() ? known_.begin() : known_.upper_bound(page_token.substr(kTokenPrefix.size()));
  for (; it != known_.end(); ++it) {
    if (it->second.record == nullptr) continue;
    if (page.records.size() == page_size) {
      page.next_page_token = std::string(kTokenPrefix) + page.records.back()->id();
      break;
    }
    page.records.push_back(it->second.record);
  }
  return page;
}

bool Catalogue::Apply(Versioned change) {
  RecordPointer record;
  if (change.record.has_value()) record = std::make_shared<const Record>(*std::move(change.record));
  {
    const std::unique_lock lock(mutex_);
    Known& known = known_[change.id];
    if (known.sequence >= change.sequence) return false;
    size_ += static_cast<std::size_t>(record != nullptr) - static_cast<std::size_t>(known.record != nullptr);
    known = {change.sequence, record};
  }
  if (options_.on_change) options_.on_change(change.id, record);
  return true;
}

absl::Status Catalogue::Follow() {
  std::int64_t since = 0;
  {
    const std::shared_lock lock(mutex_);
    since = sequence_;
  }
  absl::StatusOr<Changes> changes = store_->ChangesSince(since);
  if (!changes.ok()) {
    const std::unique_lock lock(mutex_);
    health_ = changes.status();
    return changes.status();
  }
  std::vector<std::string> gone;
  {
    const std::unique_lock lock(mutex_);
    health_ = absl::OkStatus();
    if (changes->everything && changes->sequence < sequence_) {
      // The numbers start anew: an old copy of the database was put back.
      for (auto& [id, known] : known_) {
        known.sequence = 0;
        const bool there = std::any_of(changes->changes.begin(), changes->changes.end(),
                                       [&id = id](const Versioned& change) { return change.id == id; });
        if (there || known.record == nullptr) continue;
        known.record = nullptr;
        --size_;
        gone.push_back(id);
      }
    }
    sequence_ = changes->sequence;
  }
  for (const std::string& id : gone) {
    if (options_.on_change) options_.on_change(id, nullptr);
  }
  for (Versioned& change : changes->changes) Apply(std::move(change));
  return absl::OkStatus();
}

void Catalogue::FollowForEver() {
  absl::Time next_note = absl::Now() + options_.note_use;
  while (true) {
    absl::Status status = store_->database().WaitForChange(options_.look_anyway);
    {
      const std::lock_guard lock(stop_mutex_);
      if (stopped_) return;
    }
    if (status.ok()) status = Follow();
    if (!status.ok()) {
      {
        const std::unique_lock lock(mutex_);
        health_ = status;
      }
      std::unique_lock lock(stop_mutex_);
      stop_.wait_for(lock, absl::ToChronoNanoseconds(options_.retry), [this] { return stopped_; });
      continue;
    }
    if (absl::Now() >= next_note) {
      NoteUse();
      next_note = absl::Now() + options_.note_use;
    }
  }
}

void Catalogue::NoteUse() {
  std::set<std::string> used;
  {
    const std::lock_guard lock(use_mutex_);
    used.swap(used_);
  }
  if (used.empty()) return;
  const absl::Status status = store_->MarkUsed({used.begin(), used.end()}, absl::Now());
  if (status.ok()) return;
  const std::lock_guard lock(use_mutex_);  // another time
  used_.merge(used);
}

std::vector<std::string> Catalogue::InUse(absl::Duration lately, int limit) const {
  const auto used = store_->UsedSince(absl::Now() - lately, limit);
  std::vector<std::string> out;
  if (!used.ok()) return out;  // warming is a favour, not a duty
  const std::shared_lock lock(mutex_);
  for (const std::string& id : *used) {
    const auto it = known_.find(id);
    if (it != known_.end() && it->second.record != nullptr) out.push_back(id);
  }
  return out;
}

absl::StatusOr<Catalogue::RecordPointer> Catalogue::Applied(absl::StatusOr<Versioned> written) {
  if (!written.ok()) return written.status();
  auto record = std::make_shared<const Record>(*written->record);
  Apply(*std::move(written));
  return record;
}

absl::StatusOr<Catalogue::RecordPointer> Catalogue::Create(const Record& contents) {
  return Applied(store_->Create(contents));
}

absl::StatusOr<Catalogue::RecordPointer> Catalogue::Update(
    const std::string& id, const std::string& etag, const std::function<absl::Status(Record&)>& change) {
  return Applied(store_->Update(id, etag, change));
}

absl::Status Catalogue::Delete(const std::string& id, const std::string& etag) {
  FILO_ASSIGN_OR_RETURN(Versioned deleted, store_->Delete(id, etag));
  Apply(std::move(deleted));
  return absl::OkStatus();
}

absl::StatusOr<Catalogue::RecordPointer> Catalogue::AddReference(const std::string& id,
                                                                 const Reference& reference,
                                                                 std::string bytes) {
  return Applied(store_->AddReference(id, reference, std::move(bytes)));
}

absl::StatusOr<Catalogue::RecordPointer> Catalogue::RemoveReference(const std::string& id,
                                                                    const std::string& reference_id) {
  return Applied(store_->RemoveReference(id, reference_id));
}

absl::StatusOr<Catalogue::RecordPointer> Catalogue::SetCalibration(const std::string& id,
                                                                   const Calibration& calibration,
                                                                   std::string baseline) {
  return Applied(store_->SetCalibration(id, calibration, std::move(baseline)));
}

std::size_t Catalogue::size() const {
  const std::shared_lock lock(mutex_);
  return size_;
}

absl::Status Catalogue::health() const {
  const std::shared_lock lock(mutex_);
  return health_;
}

}  // namespace filo::category
