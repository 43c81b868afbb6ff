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
more=("$@")

part() { # CONFIG START NAME [ARGUMENTS]
  deepcolor train fit --config "$here/$1.yaml" --data.path "$photos" --name "$3" \
    --warm_start "$2" "${@:4}" "${more[@]}"
}

weights() { echo "runs/$1/version_0/model.safetensors"; }

deepcolor train fit --config "$here/lite.photos.yaml" --data.path "$photos" "${more[@]}"
before=lite.photos
for next in lite.photos-large lite.photos-milder lite.photos-small; do
  part $next "$(weights $before)" $next
  before=$next
done
for order in 1 2; do
  part lite.photos-last "$(weights $before)" lite.photos-last-$order --data.order_seed $order
done
python "$here/average.py" averaged.safetensors \
  "$(weights lite.photos-last-1)" "$(weights lite.photos-last-2)"
part lite.hints averaged.safetensors lite.hints
python "$here/release.py" "$(weights lite.hints)" "$photos" lite.photos.safetensors
