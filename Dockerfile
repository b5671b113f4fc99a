# A service without JAX: docker build -t jaxrec . && docker run -v $PWD/bundle:/bundle:ro jaxrec
FROM python:3.13-slim
COPY requirements-serve.txt /tmp/
RUN pip install --no-cache-dir -r /tmp/requirements-serve.txt
COPY jaxrec /opt/jaxrec/jaxrec
ENV PYTHONPATH=/opt/jaxrec PYTHONDONTWRITEBYTECODE=1
USER 65534:65534
EXPOSE 8000
# Inside a container the loopback is the container's own: docker run -p says who can reach it.
ENTRYPOINT ["python", "-m", "jaxrec.main", "serve", "--bundle=/bundle", "--host=0.0.0.0"]
