package cilium

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/lang/policy/cilium"
	"github.com/gotrace/gotrace/runtime/outline"
)

// A Resetter ends TCP connections whose requests were dropped, so that neither side waits
// for an answer. The kernel sends a reset to the other side. The first failure is
// reported.
type Resetter struct {
	Err  io.Writer
	once sync.Once
}

// Flow ends the connection of a flow if one of its requests was dropped.
func (r *Resetter) Flow(f *Flow) {
	if !f.Denied || !f.Enforced || f.Kind == cilium.NewConnection || f.Protocol != unix.IPPROTO_TCP {
		return
	}
	err := inNetworkOf(f.Decision.Endpoint, func() error { return destroy(f.local()) })
	if err != nil && err != unix.ENOENT { // ENOENT of destroy: the connection has ended
		r.once.Do(func() {
			fmt.Fprintf(r.Err, "WARNING: clients wait for an answer to denied requests: their connections cannot be reset, which needs CAP_NET_ADMIN and a kernel with CONFIG_INET_DIAG_DESTROY: %v\n", err)
		})
	}
}

// local returns the addresses of the endpoint's socket, its own first.
func (f *Flow) local() (own, peer netip.AddrPort) {
	if f.Decision.Dir == cilium.Egress {
		return f.Src, f.Dst
	}
	return f.Dst, f.Src
}

// inNetworkOf runs do in the network namespace of an endpoint's processes.
func inNetworkOf(e *cilium.Endpoint, do func() error) error {
	if len(e.Addrs) == 0 { // it shares the machine's network
		return do()
	}
	procs, err := os.ReadFile(filepath.Join(e.Dir, "cgroup.procs"))
	pid, _, _ := strings.Cut(string(procs), "\n")
	if err != nil || pid == "" {
		return outline.Errorf("%s has no process whose network could be used", e.Name)
	}
	ns, err := os.Open("/proc/" + pid + "/ns/net")
	if err != nil {
		return outline.Errorf("the network of %s: %w", e.Name, err)
	}
	defer ns.Close()
	result := make(chan error)
	go func() {
		// The thread ends with the goroutine, so that nothing else runs in the namespace.
		runtime.LockOSThread()
		err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET)
		if err == nil {
			err = do()
		}
		result <- err
	}()
	return <-result
}

// destroy ends a connection of TCP, as SOCK_DESTROY of the kernel's sock_diag does.
func destroy(own, peer netip.AddrPort) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_INET_DIAG)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, destroyMessage(own, peer), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 256)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	switch {
	case err != nil:
		return err
	case n < unix.NLMSG_HDRLEN+4 || binary.NativeEndian.Uint16(answer[4:]) != unix.NLMSG_ERROR:
		return errors.New("the kernel answers with another message")
	}
	if code := int32(binary.NativeEndian.Uint32(answer[unix.NLMSG_HDRLEN:])); code != 0 {
		return unix.Errno(-code)
	}
	return nil
}

// destroyMessage returns the request to end a connection: the header of netlink and struct
// inet_diag_req_v2 of include/uapi/linux/inet_diag.h.
func destroyMessage(own, peer netip.AddrPort) []byte {
	const sockDestroy, size = 21, unix.NLMSG_HDRLEN + 56
	native, be := binary.NativeEndian, binary.BigEndian
	family := byte(unix.AF_INET)
	if own.Addr().Is6() {
		family = unix.AF_INET6
	}
	m := make([]byte, size)
	native.PutUint32(m, size)
	native.PutUint16(m[4:], sockDestroy)
	native.PutUint16(m[6:], unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	body := m[unix.NLMSG_HDRLEN:]
	body[0], body[1] = family, unix.IPPROTO_TCP
	native.PutUint32(body[4:], ^uint32(0)) // all states
	id := body[8:]
	be.PutUint16(id, own.Port())
	be.PutUint16(id[2:], peer.Port())
	copy(id[4:20], own.Addr().AsSlice())
	copy(id[20:36], peer.Addr().AsSlice())
	native.PutUint64(id[40:], ^uint64(0)) // any cookie
	return m
}
