#!/usr/bin/env bash
# Trains lite.photos from a folder of colour photographs, or of tar archives of them:
#
#   recipes/lite.photos.sh PHOTOS [LightningCLI arguments for both halves]
#
# If none of your sources is named tiny_imagenet, add --data.shares null.
# Needs pip install '.[train]'. Ends with runs/lite.photos-large/version_0/model.safetensors.
set -euo pipefail
here=$(dirname "$0")
photos=$1
shift
deepcolor train fit --config "$here/lite.photos.yaml" --data.path "$photos" "$@"
deepcolor train fit --config "$here/lite.photos-large.yaml" --data.path "$photos" \
  --warm_start runs/lite.photos/version_0/model.safetensors "$@"
