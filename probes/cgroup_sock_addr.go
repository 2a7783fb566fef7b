package probes

import (
	"io"
	"slices"
	"strings"

	"github.com/cilium/ebpf"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/runtime/object"
)

// sockAddrHook is a system call for whose address cgroup_sock_addr programs run.
type sockAddrHook struct {
	name   string
	attach ebpf.AttachType
	// tells is set if the kernel accepts only the result that permits the call.
	tells bool
}

var sockAddrHooks = []sockAddrHook{
	{"connect4", ebpf.AttachCGroupInet4Connect, false},
	{"connect6", ebpf.AttachCGroupInet6Connect, false},
	{"bind4", ebpf.AttachCGroupInet4Bind, false},
	{"bind6", ebpf.AttachCGroupInet6Bind, false},
	{"sendmsg4", ebpf.AttachCGroupUDP4Sendmsg, false},
	{"sendmsg6", ebpf.AttachCGroupUDP6Sendmsg, false},
	{"recvmsg4", ebpf.AttachCGroupUDP4Recvmsg, true},
	{"recvmsg6", ebpf.AttachCGroupUDP6Recvmsg, true},
	{"getpeername4", ebpf.AttachCgroupInet4GetPeername, true},
	{"getpeername6", ebpf.AttachCgroupInet6GetPeername, true},
	{"getsockname4", ebpf.AttachCgroupInet4GetSockname, true},
	{"getsockname6", ebpf.AttachCgroupInet6GetSockname, true},
}

// cgroupSockAddrKind returns cgroup_sock_addr, for the system calls by which the
// processes of a cgroup use addresses of the Internet protocols.
func cgroupSockAddrKind() *Kind {
	k := &Kind{
		Name: "cgroup_sock_addr",
		Manual: Manual{
			Overhead: "about 30 ns",
			Syntax:   "cgroup_sock_addr:[path:]hook",
			Doc:      "Runs when a process of a cgroup (version 2) uses an Internet address: the hooks are connect4, connect6, bind4, bind6, sendmsg4 … ctx is struct bpf_sock_addr.",
		},
	}
	k.Decides, k.Caps = true, capsNet
	hook := func(name string) *sockAddrHook {
		i := slices.IndexFunc(sockAddrHooks, func(h sockAddrHook) bool { return h.name == name })
		if i < 0 {
			return nil
		}
		return &sockAddrHooks[i]
	}
	k.Parse = func(_ *Env, parts []string) (*Point, error) {
		p, err := cgroupHook(k, parts)
		if err != nil {
			return nil, err
		}
		if hook(p.Mode) == nil {
			var names []string
			for _, h := range sockAddrHooks {
				names = append(names, h.name)
			}
			return nil, usage("%s is not a hook of cgroup_sock_addr: %s are", p.Mode, strings.Join(names, ", "))
		}
		return p, noWildcards(k, parts)
	}
	k.Expand = expandCgroup
	k.Context = func(e *Env, p *Point) (*Context, error) {
		const permit = 1
		h := hook(p.Mode)
		shape := "cgroup_sock_addr " + p.Mode
		c := &Context{
			Kind:   k,
			Load:   Load{Type: ebpf.CGroupSockAddr, AttachType: h.attach, Shape: shape, BareShape: shape},
			Result: permit,
			Ctx:    RawContext{Type: lazyStruct(e, "struct bpf_sock_addr", 72), Word: 4},
			InTask: true,
		}
		c.Verdict = Verdict{What: "call"}
		if h.tells {
			c.FixedResult = true
			return c, nil
		}
		c.Verdict.Deny = func(b *ir.Builder, errno *ir.Value) *ir.Value {
			if e.Kernel.Has(FeatSockAddrErrno) {
				b.Call(ir.SetRetval, b.Op(ir.OpSub, b.Const(0), errno))
			}
			return b.Const(0)
		}
		if !e.Kernel.Has(FeatSockAddrErrno) {
			c.Verdict.OnlyEPERM = Needs(e.Kernel, "an error other than EPERM in a "+k.Name+" probe", FeatSockAddrErrno)
		}
		return c, nil
	}
	k.Attach = func(_ *Env, prog *ebpf.Program, p *object.Point) (io.Closer, error) {
		return attachCgroup(prog, p, hook(p.Mode).attach)
	}
	k.List = func(_ *Env, parts []string, yield func(string) bool) error {
		root := cgroupRoot()
		for _, h := range sockAddrHooks {
			if root != "" && listed(parts[1:], root, h.name) && !yield(k.Name+":"+root+":"+h.name) {
				return nil
			}
		}
		return nil
	}
	return k
}
