// Hands the tensors of a bundle to the networks, and keeps the books: what was missing, mis-shaped or left
// over.
//
// A network takes its tensors in its constructor and never fails there; whoever built the networks asks
// Finish() once, which names every problem at a time. Not thread-safe; only used while loading.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "server/bundle/tensor_file.h"

namespace filo::model {

class WeightReader {
 public:
  // `tensors` must outlive the reader and, where no conversion is needed (same dtype, CPU), every tensor
  // taken from it: such tensors are views of the mapped file, never copied. `source` names the file in
  // errors.
  WeightReader(const bundle::TensorMap& tensors, std::string source, at::Device device, at::ScalarType dtype);

  // The tensor `name` in the reader's dtype on its device. On a missing or mis-shaped tensor the problem is
  // noted and zeros of the wanted shape are returned, so that the caller need not check.
  at::Tensor Take(const std::string& name, at::IntArrayRef shape);
  // The same, but an absent tensor is no problem and gives an undefined tensor.
  at::Tensor TakeOptional(const std::string& name, at::IntArrayRef shape);
  // Notes a tensor as known and not needed (a buffer, a duplicate that was compared elsewhere). Absent is
  // fine.
  void Ignore(const std::string& name);

  // kInvalidArgument listing every missing, mis-shaped, wrong-typed and surplus tensor; OK if there is none.
  absl::Status Finish() const;

  at::Device device() const { return device_; }
  at::ScalarType dtype() const { return dtype_; }

 private:
  at::Tensor Convert(const std::string& name, const bundle::TensorView& view);

  const bundle::TensorMap& tensors_;
  std::string source_;
  at::Device device_;
  at::ScalarType dtype_;
  std::set<std::string> taken_;
  std::vector<std::string> problems_;
};

}  // namespace filo::model
