// BERT (Devlin et al. 2019): Grounding DINO's text encoder, and MiniLM's, which has the same layers.
//
// What may attend to what is the caller's: a block per phrase for Grounding DINO (spec section 10), every
// real token for a sentence encoder. Token embeddings go in as a tensor, so that learned context vectors can
// take the place of some. No pooler. Immutable after loading; const methods are thread-safe; differentiable.
#pragma once

#include <string>
#include <vector>

#include "ATen/ATen.h"
#include "server/bundle/manifest.h"
#include "server/model/layers.h"
#include "server/model/weights.h"

namespace filo::model {

class Bert {
 public:
  // Takes Hugging Face's names below `prefix` ("bert.", "text."): PREFIXembeddings.*,
  // PREFIXencoder.layer.K.*.
  Bert(WeightReader& reader, const bundle::Bert& sizes, const std::string& prefix);

  // Word embeddings [batch, tokens, width] of int64 ids [batch, tokens], nothing added yet.
  at::Tensor Embed(const at::Tensor& ids) const;

  // Last hidden states [batch, tokens, width]. `words` as Embed gives them; `position_ids` int64 [batch,
  // tokens] in [0, max_positions); `may_attend` bool, broadcastable to [batch, heads, tokens, tokens], true
  // where the row's token may look at the column's; each row needs at least one.
  at::Tensor Encode(const at::Tensor& words, const at::Tensor& position_ids,
                    const at::Tensor& may_attend) const;

  const bundle::Bert& sizes() const { return sizes_; }

 private:
  struct Layer {
    Linear query, key, value, attention_output;
    LayerNorm attention_norm;
    Linear intermediate, output;
    LayerNorm norm;
  };

  bundle::Bert sizes_;
  at::Tensor word_embeddings_;      // [vocabulary, width]
  at::Tensor position_embeddings_;  // [max_positions, width]
  at::Tensor type_embeddings_;      // [2, width]; row 0 is used
  LayerNorm embedding_norm_;
  std::vector<Layer> layers_;
};

}  // namespace filo::model
