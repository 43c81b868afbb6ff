#!/usr/bin/env bash
# Trains lite.photos from a folder of colour photographs, or of tar archives of them:
#
#   recipes/lite.photos.sh PHOTOS [LightningCLI arguments for all parts]
#
# If none of your sources is named tiny_imagenet, add --data.shares null.
# Needs pip install '.[train]'. Ends with lite.photos.safetensors. Each call has a folder of its own
# below runs/, so that no part can start from weights of an earlier call.
set -euo pipefail
here=$(dirname "$0")
photos=${1:?say which photographs: recipes/lite.photos.sh PHOTOS}
shift
runs=runs/lite.photos.$(date +%Y%m%d-%H%M%S).$$
weights=
for part in lite.photos lite.photos-large lite.photos-milder lite.photos-small lite.photos-last \
  lite.hints; do
  deepcolor train fit --config "$here/$part.yaml" --data.path "$photos" \
    ${weights:+--warm_start "$weights"} "$@" --trainer.default_root_dir "$runs" --name "$part"
  weights=$runs/$part/version_0/model.safetensors  # the folder is new: there is no other version
done
python "$here/release.py" "$weights" "$photos" lite.photos.safetensors
