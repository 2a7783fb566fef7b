package probes

import (
	"errors"
	"os"
	"runtime"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/runtime/outline"
)

// tracingMultiOptions are the functions to which tracingMulti attaches a program.
type tracingMultiOptions struct {
	// AttachType is the attach type with which the program was loaded.
	AttachType ebpf.AttachType
	// Functions are the IDs of functions in the BTF of vmlinux, in any order.
	Functions []btf.TypeID
	// Cookies has a value for each function, which bpf_get_attach_cookie returns there,
	// or is empty.
	Cookies []uint64
}

// tracingMulti attaches a program to functions of the kernel with one link. The kernel
// attaches it to all of them or to none.
//
// Requires at least Linux 7.2.
func tracingMulti(prog *ebpf.Program, opts tracingMultiOptions) (*tracingMultiLink, error) {
	n := len(opts.Functions)
	if n == 0 {
		return nil, errors.New("no functions to attach to")
	}
	if len(opts.Cookies) != 0 && len(opts.Cookies) != n {
		return nil, outline.Errorf("%d cookies for %d functions", len(opts.Cookies), n)
	}
	// link_create of union bpf_attr, with the member tracing_multi of its union. Pointers
	// have 64 bits on all machines that gotrace runs on.
	attr := struct {
		ProgFd     uint32
		TargetFd   uint32
		AttachType uint32
		Flags      uint32
		Ids        unsafe.Pointer
		Cookies    unsafe.Pointer
		Cnt        uint32
		_          uint32
	}{
		ProgFd:     uint32(prog.FD()),
		AttachType: uint32(opts.AttachType),
		Ids:        unsafe.Pointer(&opts.Functions[0]),
		Cnt:        uint32(n),
	}
	if len(opts.Cookies) > 0 {
		attr.Cookies = unsafe.Pointer(&opts.Cookies[0])
	}
	fd, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_LINK_CREATE, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	runtime.KeepAlive(prog)
	if errno != 0 {
		return nil, os.NewSyscallError("bpf link_create", errno)
	}
	return &tracingMultiLink{int(fd)}, nil
}

// tracingMultiLink is a link to many functions. Closing it detaches the program.
type tracingMultiLink struct{ fd int }

func (l *tracingMultiLink) Close() error {
	if l.fd < 0 {
		return nil
	}
	fd := l.fd
	l.fd = -1
	return unix.Close(fd)
}
