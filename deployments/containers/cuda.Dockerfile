# GPU workers. Build from the root of the repository:
#   docker build --file deployments/containers/cuda.Dockerfile --tag fineinstructions:cuda .
# The CUDA libraries come with torch's wheels; the host brings the driver and the container toolkit.
FROM python:3.11-slim-bookworm
ENV PYTHONUNBUFFERED=1 PIP_DISABLE_PIP_VERSION_CHECK=1 DO_NOT_TRACK=1 PREFECT_SERVER_ANALYTICS_ENABLED=false
RUN apt-get update && apt-get install --yes --no-install-recommends g++ libgomp1 && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY deployments/locks/cuda.txt deployments/locks/cuda.txt
RUN pip install --no-cache-dir --no-deps --requirement deployments/locks/cuda.txt
COPY . .
# Volumes take the owner of the folder that they are mounted on.
RUN pip install --no-cache-dir --no-deps --no-build-isolation . \
    && useradd --create-home runner && mkdir /data /metrics && chown runner /app /data /metrics
USER runner
CMD ["fineinstructions", "--help"]
