#include "server/model/grounding/grounding_dino.h"

#include <algorithm>
#include <limits>

#include "fmt/format.h"
#include "server/model/grounding/position_encoding.h"

namespace filo::model {
namespace {

std::shared_ptr<const Bert> OwnOrShared(WeightReader& reader, const bundle::Grounding& sizes,
                                        std::shared_ptr<const Bert> shared) {
  return sizes.shared_bert ? std::move(shared) : std::make_shared<const Bert>(reader, sizes.bert, "bert.");
}

std::optional<Swin> SwinIfAsked(WeightReader& reader, const bundle::Grounding& sizes) {
  if (sizes.backbone != bundle::GroundingBackbone::kSwin) return std::nullopt;
  return Swin(reader, sizes.swin, "backbone.0.");
}

// bool [1, 1, tokens, tokens], true where a token may attend.
at::Tensor AttentionMask(const text::Caption& caption, at::Device device) {
  const auto tokens = static_cast<std::int64_t>(caption.ids.size());
  at::Tensor mask = at::zeros({tokens, tokens}, at::kBool);
  for (std::int64_t i = 0; i < tokens; ++i) {
    const text::TokenRange& range = caption.attends[static_cast<std::size_t>(i)];
    mask[i].slice(0, range.begin, range.end).fill_(true);
  }
  return mask.to(device).unsqueeze(0).unsqueeze(0);
}

at::Tensor Ids(const std::vector<std::int64_t>& ids, at::Device device) {
  return at::tensor(ids, at::kLong).to(device).unsqueeze(0);
}

}  // namespace

GroundingDino::GroundingDino(WeightReader& reader, const bundle::Grounding& sizes, std::int64_t tower_width,
                             std::shared_ptr<const Bert> shared_bert)
    : sizes_(sizes),
      options_(at::dtype(reader.dtype()).device(reader.device())),
      bert_(OwnOrShared(reader, sizes, std::move(shared_bert))),
      text_projection_(Linear::Take(reader, "feat_map", bert_->sizes().width, sizes.hidden)),
      swin_(SwinIfAsked(reader, sizes)),
      pyramid_(reader, sizes, tower_width),
      encoder_(reader, sizes, "transformer.encoder."),
      selection_(reader, sizes, "transformer."),
      query_embed_(reader.Take("transformer.tgt_embed.weight", {sizes.queries, sizes.hidden})),
      decoder_(reader, sizes, "transformer.decoder.", "bbox_embed.0") {}

at::Tensor GroundingDino::EncodeCaption(const text::Caption& caption, Trace* trace) const {
  const at::Tensor ids = Ids(caption.ids, options_.device());
  const at::Tensor positions = Ids(caption.position_ids, options_.device());
  const at::Tensor mask = AttentionMask(caption, options_.device());
  const at::Tensor states = bert_->Encode(bert_->Embed(ids), positions, mask);
  if (trace != nullptr) {
    Record(trace, "gdino.input_ids", ids[0]);
    Record(trace, "gdino.position_ids", positions[0]);
    Record(trace, "gdino.text_mask", mask[0][0]);
    Record(trace, "gdino.bert", states[0]);
  }
  return states;
}

GroundingText GroundingDino::ProjectCaption(const text::Caption& caption, const at::Tensor& states,
                                            Trace* trace) const {
  GroundingText text;
  text.tokens = text_projection_(states);
  text.positions = TextPositions(Ids(caption.position_ids, options_.device()), sizes_.hidden, options_);
  text.may_attend = AttentionMask(caption, options_.device());
  if (trace != nullptr) Record(trace, "gdino.feat_map", text.tokens[0]);
  return text;
}

GroundingText GroundingDino::Batch(const std::vector<GroundingText>& texts) {
  std::int64_t longest = 0;
  for (const GroundingText& text : texts) longest = std::max(longest, text.tokens.size(1));
  std::vector<at::Tensor> tokens, positions, masks, real;
  const at::Tensor self = at::eye(longest, texts.front().may_attend.options()).view({1, 1, longest, longest});
  for (const GroundingText& text : texts) {
    const std::int64_t padding = longest - text.tokens.size(1);
    tokens.push_back(at::constant_pad_nd(text.tokens, {0, 0, 0, padding}));
    positions.push_back(at::constant_pad_nd(text.positions, {0, 0, 0, padding}));
    masks.push_back(at::constant_pad_nd(text.may_attend, {0, padding, 0, padding}) | self);
    const at::Tensor own = text.is_token.defined()
                               ? text.is_token
                               : at::ones({text.tokens.size(0), text.tokens.size(1)}, self.options());
    real.push_back(at::constant_pad_nd(own, {0, padding}));
  }
  return {.tokens = at::cat(tokens),
          .positions = at::cat(positions),
          .may_attend = at::cat(masks),
          .is_token = at::cat(real)};
}

std::vector<at::Tensor> GroundingDino::ImageFeatures(const at::Tensor& images, Trace* trace) const {
  std::vector<at::Tensor> features = swin_->Forward(images);
  for (std::size_t k = 0; trace != nullptr && k < features.size(); ++k) {
    Record(trace, fmt::format("gdino.swin.{}", k), features[k][0]);
  }
  return features;
}

std::vector<at::Tensor> GroundingDino::TowerFeatures(const std::vector<at::Tensor>& taps, std::int64_t rows,
                                                     std::int64_t columns) {
  const at::Tensor tokens = at::cat(taps, -1);  // [batch, rows * columns, taps * width]
  return {tokens.transpose(1, 2).reshape({tokens.size(0), tokens.size(2), rows, columns})};
}

GroundingAnswers GroundingDino::Run(const std::vector<at::Tensor>& features, GroundingText text,
                                    bool all_layers, Trace* trace,
                                    const std::vector<std::int64_t>* forced_topk) const {
  ImageMemory image = pyramid_(features, trace);
  const std::int64_t batch = image.tokens.size(0);
  if (text.tokens.size(0) != batch) {
    text.tokens = text.tokens.expand({batch, -1, -1});
    text.may_attend = text.may_attend.expand({batch, -1, -1, -1});
    if (text.is_token.defined()) text.is_token = text.is_token.expand({batch, -1});
  }
  encoder_.Enhance(image, text, trace);
  const SelectedQueries selected = selection_.Select(image, text, forced_topk, trace);
  const std::int64_t queries = selected.index.size(1);
  const at::Tensor content = query_embed_.narrow(0, 0, queries).expand({batch, -1, -1});
  GroundingAnswers answers;
  for (const DecoderState& state : decoder_.Decode(content, selected.boxes, image, text, all_layers, trace)) {
    answers.layers.push_back({TokenLogits(state.features, text), state.boxes});
  }
  if (all_layers) answers.encoder = {TokenLogits(selected.features, text), selected.boxes.sigmoid()};
  return answers;
}

GroundingOutput GroundingDino::ForwardFeatures(const std::vector<at::Tensor>& features,
                                               const GroundingText& text, Trace* trace,
                                               const std::vector<std::int64_t>* forced_topk) const {
  const GroundingAnswer answer = Run(features, text, /*all_layers=*/false, trace, forced_topk).layers.back();
  const std::int64_t behind = sizes_.max_text_tokens - answer.logits.size(2);
  const GroundingOutput output{
      .logits = at::constant_pad_nd(answer.logits[0], {0, behind}, -std::numeric_limits<double>::infinity()),
      .boxes = answer.boxes[0]};
  Record(trace, "gdino.pred.0", output.logits);
  Record(trace, "gdino.pred.1", output.boxes);
  return output;
}

GroundingOutput GroundingDino::Forward(const at::Tensor& image, const GroundingText& text, Trace* trace,
                                       const std::vector<std::int64_t>* forced_topk) const {
  return ForwardFeatures(ImageFeatures(image, trace), text, trace, forced_topk);
}

GroundingAnswers GroundingDino::ForwardLayers(const std::vector<at::Tensor>& features,
                                              const GroundingText& text) const {
  return Run(features, text, /*all_layers=*/true, nullptr, nullptr);
}

}  // namespace filo::model
