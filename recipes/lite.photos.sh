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
before=
for part in lite.photos lite.photos-large lite.photos-milder lite.photos-small lite.photos-last \
  lite.hints; do
  deepcolor train fit --config "$here/$part.yaml" --data.path "$photos" \
    ${before:+--warm_start "runs/$before/version_0/model.safetensors"} "$@"
  before=$part
done
python "$here/release.py" runs/lite.hints/version_0/model.safetensors "$photos" \
  lite.photos.safetensors
