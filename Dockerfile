# docker build -t mafocops-benchmark . && docker run -v "$PWD/results:/scratch/results" mafocops-benchmark all_figures
# Also what profiles/kubernetes asks for: push it to your registry, name it there as container-image.
FROM python:3.11-slim-bookworm

# git for the commit in a run's record, rsync for Snakemake's storage, the others for videos without a display.
RUN apt-get update \
    && apt-get install -y --no-install-recommends git libegl1 libgl1-mesa-dri libopengl0 rsync \
    && rm -rf /var/lib/apt/lists/*

COPY . /src
WORKDIR /src
RUN pip install --no-cache-dir -c constraints.txt -e '.[dev]' snakemake-storage-plugin-fs

# Any user may run it: git tells the commit of somebody else's files only where it is allowed to; the caches of Snakemake,
# matplotlib and numba lie where everybody can write, results in /scratch.
ENV XDG_CACHE_HOME=/tmp/cache MPLCONFIGDIR=/tmp/matplotlib MUJOCO_GL=egl
RUN git config --system --add safe.directory /src && mkdir -p /scratch && chmod 1777 /scratch
WORKDIR /scratch
ENTRYPOINT ["snakemake", "--snakefile", "/src/Snakefile", "--cores", "all"]
