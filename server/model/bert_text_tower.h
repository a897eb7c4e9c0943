// A BERT sentence encoder (MiniLM) as the text tower: the sentence is the mean over its tokens' last hidden
// states.
//
// Source: Reimers & Gurevych 2019 (mean pooling), server/bundle/layout.md ("the open model"). Immutable after
// loading; thread-safe.
#pragma once

#include "ATen/ATen.h"
#include "server/bundle/manifest.h"
#include "server/model/bert.h"
#include "server/model/text_tower.h"
#include "server/model/weights.h"

namespace filo::model {

class BertTextTower : public TextTower {
 public:
  BertTextTower(WeightReader& reader, const bundle::TextTower& manifest);

  at::Tensor Embed(const at::Tensor& ids) const override;
  // Tokens behind a prompt's end are neither attended to nor averaged.
  at::Tensor Encode(const at::Tensor& embeddings, const at::Tensor& lengths, Trace* trace) const override;

 private:
  Bert bert_;
};

}  // namespace filo::model
