#!/usr/bin/env bash
# Fetches a data set and checks it. What is already there and right is left alone.
#
#   scripts/fetch_data.sh cifar10|fashion_mnist|mnist [DIR]
#
# DIR is the data root: by default $ELBO_DATA_ROOT, else ./data. The files go to DIR/NAME.
# fashion_mnist comes from Debian's package dataset-fashion-mnist (unpacked, no root needed) where there is apt. Otherwise,
# and for mnist, from the web: ELBO_FASHION_MNIST_URL and ELBO_MNIST_URL name another folder of the same four files. cifar10 is one
# archive of the web, which ELBO_CIFAR10_URL/cifar-10-binary.tar.gz replaces.
# ELBO_SHA256 names a file of other checksums ("SUM  NAME" a line) for a folder that holds other data.
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

(($# == 1 || $# == 2)) || die "usage: $0 cifar10|fashion_mnist|mnist [DIR]"
readonly name=$1 data_root=${2:-${ELBO_DATA_ROOT:-data}}
readonly target=$data_root/$name
package='' package_folder='' url=''

# The checksums are of the unpacked content: Debian and the mirrors compress the same bytes differently. CIFAR-10's is of the one archive.
case $name in
  cifar10)
    url=${ELBO_CIFAR10_URL:-https://www.cs.toronto.edu/~kriz}
    sums='c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd  cifar-10-binary.tar.gz'
    ;;
  fashion_mnist)
    package=dataset-fashion-mnist package_folder=usr/share/datasets/fashion-mnist
    [[ -z ${ELBO_FASHION_MNIST_URL:-} ]] || package=''
    url=${ELBO_FASHION_MNIST_URL:-http://fashion-mnist.s3-website.eu-central-1.amazonaws.com}
    sums='c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888  train-images-idx3-ubyte.gz
bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9  train-labels-idx1-ubyte.gz
5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b  t10k-images-idx3-ubyte.gz
0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34  t10k-labels-idx1-ubyte.gz'
    ;;
  mnist)
    url=${ELBO_MNIST_URL:-https://ossci-datasets.s3.amazonaws.com/mnist}
    sums='ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db  train-images-idx3-ubyte.gz
65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5  train-labels-idx1-ubyte.gz
0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7  t10k-images-idx3-ubyte.gz
ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2  t10k-labels-idx1-ubyte.gz'
    ;;
  *) die "unknown data set '$name', expected cifar10, fashion_mnist or mnist" ;;
esac
[[ -z ${ELBO_SHA256:-} ]] || sums=$(<"$ELBO_SHA256")

is_right() { # FILE SUM
  if [[ $1 == *.tar.gz ]]; then
    [[ $(sha256sum <"$1" | cut -d ' ' -f 1) == "$2" ]]
  else
    [[ $(gzip -dc "$1" 2>/dev/null | sha256sum | cut -d ' ' -f 1) == "$2" ]]
  fi
}

# What the archive holds, beside it: only the files of these names, whatever else is in it and whatever paths it gives them.
readonly cifar_files=(data_batch_1.bin data_batch_2.bin data_batch_3.bin data_batch_4.bin data_batch_5.bin test_batch.bin)
unpack_cifar() { # ARCHIVE FOLDER
  python3 - "$1" "$2" "${cifar_files[@]}" <<'PYTHON'
import os, shutil, sys, tarfile
archive, folder, *names = sys.argv[1:]
try:
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            name = os.path.basename(member.name)
            if member.isfile() and name in names:
                with open(os.path.join(folder, name), "wb") as out:
                    shutil.copyfileobj(tar.extractfile(member), out)
                names.remove(name)
except (OSError, EOFError, tarfile.TarError) as problem:
    sys.exit(f"error: {archive}: {problem}")
if names:
    sys.exit(f"error: {archive}: {', '.join(names)} missing")
PYTHON
}

if [[ $name == cifar10 ]]; then
  there=1
  for file in "${cifar_files[@]}"; do [[ -e $target/$file ]] || there=0; done
  if ((there)); then
    say "$name: all there in $target"
    exit
  fi
fi

missing=()
while read -r sum file; do
  if [[ ! -e $target/$file ]]; then
    missing+=("$file")
  elif ! is_right "$target/$file" "$sum"; then
    die "$target/$file is not the file of that name in $name (its content has another SHA-256 than $sum). Remove it and run this again."
  fi
done <<<"$sums"
if ((${#missing[@]} == 0)); then
  say "$name: all there and right in $target"
  exit
fi

mkdir -p "$data_root"
scratch=$(mktemp -d "$data_root/.$name.XXXXXX")
trap 'rm -rf "$scratch"' EXIT

download() { # FILE
  python3 - "$url/$1" "$scratch/$1" <<'PYTHON'
import shutil, sys, urllib.request
url, path = sys.argv[1:]
try:
    with urllib.request.urlopen(url, timeout=60) as response, open(path, "wb") as out:
        shutil.copyfileobj(response, out)
except (OSError, ValueError) as problem:
    sys.exit(f"error: {url}: {problem}")
PYTHON
}

from_package() {
  cd "$(dirname "${BASH_SOURCE[0]}")/.." && download_debs "$scratch/debs" "$package" &&
    dpkg-deb -x "$scratch"/debs/"$package"_*.deb "$scratch/unpacked"
}

scratch=$(cd "$scratch" && pwd)
if [[ -n $package && -d /$package_folder ]]; then
  say "$name: copying from /$package_folder"
  cp "/$package_folder"/*.gz "$scratch"
elif [[ -n $package ]] && have apt-get && have dpkg-deb && (from_package); then
  say "$name: unpacking the Debian package $package"
  mv "$scratch/unpacked/$package_folder"/*.gz "$scratch"
else
  say "$name: downloading from $url"
  for file in "${missing[@]}"; do
    download "$file" || die "could not download $file. Set ELBO_${name^^}_URL to another mirror, or put the files into $target yourself."
  done
fi

# All of them are checked before any is put in place.
while read -r sum file; do
  [[ " ${missing[*]} " == *" $file "* ]] || continue
  [[ -e $scratch/$file ]] || die "$file is missing from what was fetched"
  is_right "$scratch/$file" "$sum" ||
    die "$file as fetched has another SHA-256 than $sum: a broken download or another data set. Nothing was put into $target."
done <<<"$sums"
mkdir -p "$target"
if [[ $name == cifar10 ]]; then
  mkdir "$scratch/unpacked"
  unpack_cifar "$scratch/cifar-10-binary.tar.gz" "$scratch/unpacked" || die "the archive could not be unpacked. Nothing was put into $target."
  chmod 644 "$scratch/unpacked"/*.bin
  mv "$scratch/unpacked"/*.bin "$target"
  say "$name: ready in $target"
  exit
fi
for file in "${missing[@]}"; do
  chmod 644 "$scratch/$file"
  mv "$scratch/$file" "$target/$file"
done
say "$name: ready in $target"
