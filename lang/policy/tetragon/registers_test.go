package tetragon

import (
	"strings"
	"testing"

	"github.com/gotrace/gotrace/lang/policy"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
)

// withRegisters is a kernel that lets programs change registers.
type withRegisters struct {
	probes.Kernel
	arch string
}

func (k withRegisters) Has(f probes.Feature) bool { return f == probes.FeatSetReg || k.Kernel.Has(f) }
func (k withRegisters) Arch() string              { return k.arch }

// TestRegisters translates each form of the action Override of a uprobe. Without
// permission to act, the script changes nothing.
func TestRegisters(t *testing.T) {
	for _, c := range []struct{ arch, keys, want string }{
		{"amd64", "argError: -7", `reg_set("ax", -7); reg_set("ip", *(uint64*)uptr(reg("sp"))); reg_set("sp", reg("sp") + 8);`},
		{"amd64", "argError: 0", `reg_set("ax", 0); reg_set("ip", *(uint64*)uptr(reg("sp"))); reg_set("sp", reg("sp") + 8);`},
		{"arm64", "argError: 7", `reg_set("x0", 7); reg_set("pc", reg("x30"));`},
		{"amd64", "argRegs: [rax=11, 'rdi = 0x1f', r8=-2]", `reg_set("ax", 11); reg_set("di", 31); reg_set("r8", -2);`},
		{"amd64", "argRegs: ['rdi=%rsi', 'rsp=8%rsp', 'rbp=-0x10%r15']", `reg_set("di", reg("si") + 0); reg_set("sp", reg("sp") + 8); reg_set("bp", reg("r15") + -16);`},
		{"amd64", "argRegs: ['rip=(%rsp)', 'rdx=16(%rbx)']", `reg_set("ip", *(uint64*)uptr(reg("sp") + 0)); reg_set("dx", *(uint64*)uptr(reg("bx") + 16));`},
		{"arm64", "argRegs: ['x0=%x30', 'sp=16%sp']", `reg_set("x0", reg("x30") + 0); reg_set("sp", reg("sp") + 16);`},
		{"amd64", "argRegs: ['rax=']", "'rax=' is not an assignment to a register"},
		{"amd64", "argRegs: ['(%rsp)=1']", "rax=1, rdi=%rsi, rsp=8%rsp and rip=(%rsp) are assignments"},
		{"amd64", "argRegs: [rax=99999999999999999999]", "'99999999999999999999' is not a number of 64 bits"},
		{"amd64", "argRegs: [eax=1]", "there is no register 'eax'"},
		{"amd64", "argRegs: ['rax=%cs']", "there is no register 'cs'"},
		{"arm64", "argRegs: [x31=1]", "there is no register 'x31'"},
		{"amd64", "rateLimit: 1m", "the action Override of a uprobe needs argError, the result of the function, or argRegs"},
	} {
		for _, unsafe := range []bool{false, true} {
			var diags source.Diags
			docs := documents(policyWith("  uprobes:\n  - path: /no/such/program\n    symbols: [f]\n    selectors: [{matchActions: [{action: Override, "+c.keys+"}]}]\n"), &diags)
			terms := &policy.Terms{Kernel: withRegisters{frozen(t), c.arch}, Unsafe: unsafe}
			tr := Translate(docs, &Machine{Namespaces: InitialNamespaces(), Failable: map[string]bool{}}, terms, &diags)
			var b strings.Builder
			for _, d := range diags.All() {
				b.WriteString(d.Render())
			}
			if tr != nil && !diags.HasErrors() {
				b.WriteString(strings.Join(strings.Fields(tr.Script.Text[tr.preamble:]), " "))
			}
			want := c.want
			if strings.HasPrefix(want, "reg_set") && !unsafe {
				if strings.Contains(b.String(), "reg_set") || diags.HasErrors() {
					t.Errorf("%s %s without permission: %s", c.arch, c.keys, b.String())
				}
			} else if !strings.Contains(b.String(), want) {
				t.Errorf("%s %s: %s, want %s", c.arch, c.keys, b.String(), want)
			}
		}
	}
	msg := compiled(t, frozen(t), policyWith("  uprobes:\n  - path: /no/such/program\n    symbols: [f]\n    selectors: [{matchActions: [{action: Override, argError: 1}]}]\n"), true)
	if !strings.Contains(msg, "the action Override of a uprobe needs Linux 6.19") {
		t.Error(msg)
	}
	msg = compiled(t, withRegisters{frozen(t), "amd64"}, policyWith("  uprobes:\n  - path: /no/such/program\n    symbols: [f]\n    return: true\n    returnArg: {type: int}\n    selectors: [{matchActions: [{action: Override, argError: 1}]}]\n"), true)
	if !strings.Contains(msg, "cannot be in a hook that reports the result of the function") {
		t.Error(msg)
	}
	msg = compiled(t, frozen(t), policyWith("  kprobes:\n  - call: sys_openat\n    selectors: [{matchActions: [{action: Override, argError: -1, argRegs: [rax=1]}]}]\n"), true)
	if !strings.Contains(msg, "argRegs is for the action Override of uprobes") {
		t.Error(msg)
	}
}

// TestRegisterData reads a register in each kind of hook that has data.
func TestRegisterData(t *testing.T) {
	for _, c := range []struct{ section, hook, register, want string }{
		{"kprobes", "call: security_file_open, syscall: false", "rsp", ""},
		{"kprobes", "call: security_file_open, syscall: false", "r10", ""},
		{"kprobes", "call: security_file_open, syscall: false", "esp", "there is no register 'esp'"},
		{"kprobes", "call: security_file_open, syscall: false", "", "there is no register ''"},
		{"kprobes", "call: sys_openat", "rsp", "registers cannot be read at this hook, which is watched by tracepoint:syscalls:sys_enter_openat"},
		{"fentries", "call: security_file_open, syscall: false", "rsp", "registers cannot be read at this hook, which is watched by fentry:security_file_open"},
		{"uprobes", "path: /proc/self/exe, symbols: [runtime.main]", "rdi", ""},
		{"uprobes", "path: /proc/self/exe, symbols: [runtime.main]", "zz", "there is no register 'zz'"},
	} {
		msg := compiled(t, frozen(t), policyWith("  "+c.section+":\n  - {"+c.hook+", data: [{index: 0, type: uint64, source: pt_regs, resolve: '"+c.register+"'}]}\n"), false)
		if c.want == "" && msg != "" || !strings.Contains(msg, c.want) {
			t.Errorf("%s of %s: %s, want %s", c.register, c.hook, msg, c.want)
		}
	}
}
