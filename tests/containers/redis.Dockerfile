# Stands for the official image: its user, its folder, its command.
FROM localhost/base:bookworm
RUN install -d -o redis -g redis /data
WORKDIR /data
