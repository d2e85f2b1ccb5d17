# syntax=docker/dockerfile:1
# Two targets: `frontend`, nginx with the page's files, and `backend`, the program; the last one is what
# `docker build -t statsd-live .` makes. It needs nothing beside it:
#   docker run -p 127.0.0.1:8080:8080 -v statsd-live:/data statsd-live
# `.ci/pin-images` adds the digests of the images below, and `.ci/pin-images --check` compares them with the registry.

FROM python:3.11-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /src
RUN python -m venv --without-pip /opt/statsd
# Dependencies first: this layer is made again only when setup.cfg changes.
COPY setup.cfg ./
RUN --mount=type=cache,target=/root/.cache/pip \
    python -c "from configparser import RawConfigParser as P; p = P(); p.read('setup.cfg'); print(p['options']['install_requires'])" > /requirements.txt \
    && pip --python /opt/statsd/bin/python install --only-binary :all: -r /requirements.txt
COPY pyproject.toml README.md LICENSE sample_data.sql ./
COPY sql sql
COPY static static
COPY statsd statsd
RUN --mount=type=cache,target=/root/.cache/pip \
    pip wheel --no-deps --wheel-dir /wheel . \
    && pip --python /opt/statsd/bin/python install --no-deps --no-index /wheel/*.whl


FROM nginx:1.28-alpine AS frontend
COPY static/nginx.conf /etc/nginx/nginx.conf
COPY static/*.html static/*.svg /usr/share/nginx/html/
COPY static/docs /usr/share/nginx/html/docs
COPY static/assets /usr/share/nginx/html/assets
USER nginx
EXPOSE 8080
STOPSIGNAL SIGQUIT
HEALTHCHECK --interval=10s --timeout=3s CMD ["wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/favicon.svg"]
ENTRYPOINT ["nginx", "-p", "/tmp/", "-e", "stderr", "-c", "/etc/nginx/nginx.conf", "-g", "daemon off;"]


FROM python:3.11-slim AS backend
RUN useradd --system --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin statsd \
    && install --directory --owner statsd --group statsd --mode 0700 /data
COPY --from=build /opt/statsd /opt/statsd
ENV PATH=/opt/statsd/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1 \
    HOST=0.0.0.0 \
    PORT=8080 \
    STATS_DATA_DIR=/data
USER statsd
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
# The start period is long because a database that crashed recovers first; the first success ends it.
HEALTHCHECK --interval=5s --timeout=4s --start-period=5m \
    CMD ["python", "-c", "import os, urllib.request as u; u.build_opener(u.ProxyHandler({})).open(f'http://127.0.0.1:{os.environ[\"PORT\"]}/readyz', timeout=3)"]
CMD ["python", "-m", "statsd", "serve"]
