#include "server/base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <system_error>
#include <utility>

#include "fmt/format.h"
#include "server/base/status.h"

namespace filo {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

// Opens a regular file for reading and tells its size. O_NONBLOCK: a named pipe must be refused, not waited
// for.
absl::StatusOr<std::uint64_t> CheckRegular(int descriptor, const std::string& path) {
  if (descriptor < 0) return FileError("open", path, errno);
  struct stat info {};
  if (::fstat(descriptor, &info) != 0) return FileError("inspect", path, errno);
  if (!S_ISREG(info.st_mode))
    return absl::InvalidArgumentError(fmt::format("{} is not a regular file", path));
  return static_cast<std::uint64_t>(info.st_size);
}

}  // namespace

absl::Status FileError(std::string_view action, const std::string& path, int error_number) {
  const std::string message =
      fmt::format("cannot {} {}: {}", action, path, std::generic_category().message(error_number));
  switch (error_number) {
    case ENOENT:
    case ENOTDIR:
      return absl::NotFoundError(message);
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::PermissionDeniedError(message);
    case EISDIR:
    case ENAMETOOLONG:
    case ELOOP:
      return absl::InvalidArgumentError(message);
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
      return absl::ResourceExhaustedError(message);
    default:
      return absl::UnavailableError(message);
  }
}

absl::StatusOr<std::string> ReadFile(const std::string& path, std::uint64_t max_bytes) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  FILO_ASSIGN_OR_RETURN(const std::uint64_t size, CheckRegular(file.get(), path));
  if (size > max_bytes) {
    return absl::InvalidArgumentError(
        fmt::format("{} has {} bytes; at most {} are read", path, size, max_bytes));
  }
  std::string contents(size, '\0');
  std::size_t done = 0;
  while (done < contents.size()) {
    const ssize_t got = ::read(file.get(), contents.data() + done, contents.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FileError("read", path, errno);
    if (got == 0) break;  // shortened meanwhile
    done += static_cast<std::size_t>(got);
  }
  contents.resize(done);
  return contents;
}

absl::Status WriteFile(const std::string& path, std::string_view contents) {
  FILO_ASSIGN_OR_RETURN(const std::unique_ptr<AtomicFile> file, AtomicFile::Create(path));
  FILO_RETURN_IF_ERROR(file->WriteAt(0, std::as_bytes(std::span(contents))));
  return file->Commit();
}

absl::StatusOr<std::shared_ptr<const MappedFile>> MappedFile::Open(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  FILO_ASSIGN_OR_RETURN(const std::uint64_t size, CheckRegular(file.get(), path));
  std::shared_ptr<MappedFile> mapped(new MappedFile);
  mapped->path_ = path;
  if (size == 0) return mapped;
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file.get(), 0);
  if (data == MAP_FAILED) return FileError("map", path, errno);
  mapped->data_ = static_cast<const std::byte*>(data);
  mapped->size_ = size;
  return mapped;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

absl::StatusOr<std::unique_ptr<AtomicFile>> AtomicFile::Create(const std::string& path) {
  std::unique_ptr<AtomicFile> file(new AtomicFile);
  file->path_ = path;
  static std::atomic<unsigned> counter{0};
  do {  // a crashed process with the same id may have left its file behind
    file->temporary_ = fmt::format("{}.{}.{}.tmp", path, ::getpid(), counter++);
    file->descriptor_ = ::open(file->temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (file->descriptor_ < 0 && errno == EEXIST);
  if (file->descriptor_ < 0) {
    const int error_number = errno;
    file->temporary_.clear();
    return FileError("create", path, error_number);
  }
  return file;
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

absl::Status AtomicFile::WriteAt(std::uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return FileError("write", path_, errno);
    offset += static_cast<std::uint64_t>(put);
    bytes = bytes.subspan(static_cast<std::size_t>(put));
  }
  return absl::OkStatus();
}

absl::Status AtomicFile::Commit() {
  if (::fsync(descriptor_) != 0) return FileError("flush", path_, errno);
  if (::close(std::exchange(descriptor_, -1)) != 0) return FileError("close", path_, errno);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) return FileError("replace", path_, errno);
  temporary_.clear();
  // The rename itself must survive a power cut: flush the directory's entry too.
  const std::size_t slash = path_.rfind('/');
  const std::string folder =
      slash == std::string::npos ? "." : path_.substr(0, std::max<std::size_t>(slash, 1));
  const Descriptor directory(::open(folder.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECTORY));
  if (directory.get() >= 0 && ::fsync(directory.get()) != 0 && errno != EINVAL) {
    return FileError("flush", folder, errno);
  }
  return absl::OkStatus();
}

}  // namespace filo
