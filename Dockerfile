# One image for every command of Myaku. Nothing is compiled here, so it builds the same everywhere.
FROM python:3.11.17-slim-trixie AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv --without-pip /opt/myaku
WORKDIR /source
COPY requirements.image.lock ./
RUN pip --python /opt/myaku/bin/python install --require-hashes --only-binary :all: \
      -r requirements.image.lock
COPY pyproject.toml README.md ./
COPY config config
COPY services services
COPY shared shared
RUN pip --python /opt/myaku/bin/python install --no-deps --no-build-isolation . \
    && pip --python /opt/myaku/bin/python uninstall --yes setuptools

FROM python:3.11.17-slim-trixie
COPY --from=build /opt/myaku /opt/myaku
# In a container nobody can reach loopback.
ENV PATH=/opt/myaku/bin:$PATH PYTHONUNBUFFERED=1 MYAKU_HOST=0.0.0.0
USER 10001:10001
EXPOSE 8081 8082 8083 9101 9102 9103
ENTRYPOINT ["myaku"]
