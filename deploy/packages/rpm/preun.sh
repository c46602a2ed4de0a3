# 0: removed, and not replaced by another version. What runs on is ended, with its drain.
if [ "$1" = 0 ] && [ -d /run/systemd/system ]; then
    systemctl --no-reload stop tcpcopy.service intercept.service || :
fi
