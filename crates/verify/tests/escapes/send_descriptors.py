# expect: violation,runtime_error
# Descriptors in flight, the channel's own among them, must not pile up in the verifier.
import _socket, array

def f(n):
    channel = _socket.socket(fileno=4)
    for i in range(50):
        rights = array.array('i', [4, 0, 1, 2])
        channel.sendmsg([b'x'], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)])
    return n * n
