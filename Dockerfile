# iModel Desk (target `desk`: web, worker, beat, migrate), the proxy before it (target `proxy`), and the stand-in
# platform (target `sandbox`).
# The images write nothing but /tmp and /app/var, so they run read-only.

FROM docker.io/library/python:3.11-slim-bookworm AS packages
COPY requirements/run.txt /requirements/run.txt
RUN python3 -m venv /venv && /venv/bin/pip install --no-cache-dir --require-hashes --requirement /requirements/run.txt

FROM packages AS sandbox-packages
COPY requirements/demo.txt /requirements/demo.txt
RUN /venv/bin/pip install --no-cache-dir --require-hashes --requirement /requirements/demo.txt

FROM docker.io/library/python:3.11-slim-bookworm AS ground
# MALLOC_ARENA_MAX: threads would else each keep memory of their own that they no longer use.
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 MALLOC_ARENA_MAX=2
# What named volumes are mounted on belongs to the user of the image: a new volume takes that over.
RUN useradd --system --uid 10001 --home-dir /app --shell /usr/sbin/nologin desk \
 && install -d -o desk -g desk -m 0700 /app/var /run/desk /run/owner /world \
 && install -d -o desk -g desk -m 0755 /run/database /run/redis
WORKDIR /app

FROM docker.io/library/debian:bookworm-slim AS proxy
RUN apt-get update && apt-get install --yes --no-install-recommends nginx-light && rm -rf /var/lib/apt/lists/*
COPY dashboard/nginx/ /etc/nginx/desk/
EXPOSE 8080 8443
CMD ["/etc/nginx/desk/start"]

FROM ground AS sandbox
COPY --from=sandbox-packages /venv /venv
COPY sandbox/ sandbox/
USER desk
EXPOSE 8010
CMD ["python", "-m", "sandbox", "--host", "0.0.0.0", "--port", "8010", "--world", "/world/sandbox.json"]

FROM ground AS desk
COPY --from=packages /venv /venv
COPY manage.py pyproject.toml CHANGELOG.md ./
COPY dashboard/ dashboard/
COPY imodels_app/ imodels_app/
COPY templates/ templates/
COPY static/ static/
# The keys and the client are for this line only: settings want some, and collecting files uses none.
RUN OIDC_CLIENT_ID=none \
    SECRET_KEY="$(python -c "import secrets; print(secrets.token_urlsafe(50))")" \
    TOKEN_KEYS="$(python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())")" \
    python manage.py collectstatic --no-input \
 && python -m compileall -q dashboard imodels_app
USER desk
EXPOSE 8000
CMD ["gunicorn", "--config", "python:dashboard.web", "--bind", "0.0.0.0:8000", "dashboard.wsgi"]
