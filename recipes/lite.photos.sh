#!/usr/bin/env bash
# Trains lite.photos from a folder of colour photographs, or of tar archives of them:
#
#   recipes/lite.photos.sh PHOTOS [LightningCLI arguments for all parts]
#
# If none of your sources is named tiny_imagenet, add --data.shares null.
# Needs pip install '.[train]'. Ends with lite.photos.safetensors.
set -euo pipefail
here=$(dirname "$0")
photos=$1
shift
given=("$@")
before=

# NAME CONFIG [arguments]: goes on from the part before
part() {
  local name=$1 config=$2
  shift 2
  deepcolor train fit --config "$here/$config.yaml" --data.path "$photos" --name "$name" \
    ${before:+--warm_start "runs/$before/version_0/model.safetensors"} "$@" \
    ${given[@]+"${given[@]}"}
  before=$name
}

part lite.photos lite.photos
part lite.photos-large lite.photos-large
part lite.photos-milder lite.photos-milder
part lite.photos-small lite.photos-small
part lite.photos-last lite.photos-last --data.order_seed 2
# Once more both, without rebalancing: other crops, smaller steps.
plain=(--model.init_args.mix 1.0 --model.init_args.hints false)
part lite.photos-small-2 lite.photos-small "${plain[@]}" --data.order_seed 3 \
  --model.init_args.lr 6e-4 --trainer.max_steps 1300 --trainer.val_check_interval 1300
part lite.photos-last-2 lite.photos-last "${plain[@]}" --data.order_seed 4 \
  --model.init_args.lr 4e-4 --trainer.max_steps 950 --trainer.val_check_interval 950
part lite.hints lite.hints
python "$here/release.py" runs/lite.hints/version_0/model.safetensors "$photos" \
  lite.photos.safetensors
