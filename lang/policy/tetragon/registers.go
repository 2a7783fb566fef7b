package tetragon

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/lang/policy"
	"github.com/gotrace/gotrace/lang/policy/yaml"
	"github.com/gotrace/gotrace/probes"
)

// overrideUser completes the action Override of a uprobe. It changes the registers in
// argRegs or, without them, makes the function return argError at once.
func (p *policyReader) overrideUser(a *action, n *yaml.Node) {
	switch k := p.terms.Kernel; {
	case p.unsafe() && !k.Has(probes.FeatSetReg):
		p.unsupported(a.at, "%s", probes.Needs(k, "the action Override of a uprobe", probes.FeatSetReg))
	case len(a.registers) > 0:
	case !n.Has("argError"):
		p.diags.Errorf(a.at, "the action Override of a uprobe needs argError, the result of the function, or argRegs")
	case k.Arch() == "arm64":
		a.registers = []string{fmt.Sprintf(`reg_set("x0", %d);`, a.errno), `reg_set("pc", reg("x30"));`}
	default:
		a.registers = []string{
			fmt.Sprintf(`reg_set("ax", %d);`, a.errno), `reg_set("ip", *(uint64*)uptr(reg("sp")));`, `reg_set("sp", reg("sp") + 8);`,
		}
	}
}

// assignment returns the statement for an entry of argRegs. The statement sets a register to
// a number, to the value of a register plus an offset, or to the word of memory at such an
// address.
func (p *policyReader) assignment(n *yaml.Node) string {
	text := strings.ReplaceAll(p.text(n), " ", "")
	m := regexp.MustCompile(`^%?(\w+)=(-?\w+)?(?:%(\w+)|\(%(\w+)\))?$`).FindStringSubmatch(text)
	if m == nil || m[2]+m[3]+m[4] == "" {
		p.diags.ErrorHint(n.At, "rax=1, rdi=%rsi, rsp=8%rsp and rip=(%rsp) are assignments", "'%s' is not an assignment to a register", text)
		return ""
	}
	var off int64
	if m[2] != "" {
		var err error
		if off, err = strconv.ParseInt(m[2], 0, 64); err != nil {
			p.diags.Errorf(n.At, "'%s' is not a number of 64 bits", m[2])
		}
	}
	value := strconv.FormatInt(off, 10)
	if from := m[3] + m[4]; from != "" {
		value = fmt.Sprintf(`reg("%s") + %d`, p.register(n, from), off)
		if m[4] != "" {
			value = "*(uint64*)uptr(" + value + ")"
		}
	}
	return fmt.Sprintf(`reg_set("%s", %s);`, p.register(n, m[1]), value)
}

// register returns the name of a register in scripts: without the r of amd64's names,
// except in names with a number.
func (p *policyReader) register(n *yaml.Node, name string) string {
	if p.terms.Kernel.Arch() == "arm64" {
		if i, err := strconv.Atoi(strings.TrimPrefix(name, "x")); err == nil && name[0] == 'x' && i >= 0 && i <= 30 || name == "sp" || name == "pc" {
			return name
		}
	} else if policy.Among(registers, name) {
		if name[1] > '9' {
			return name[1:]
		}
		return name
	}
	p.unknown(n.At, "there is no register", name, registers)
	return ""
}

// registers are the registers of amd64 that policies can read and change.
var registers = strings.Fields("rax rbx rcx rdx rsi rdi rbp rsp rip r8 r9 r10 r11 r12 r13 r14 r15")
