package binary

import (
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/outline"
)

// USDTArg is the location of an argument when its probe runs: a constant, a
// register, or memory at register + offset + index × scale.
type USDTArg struct {
	Err    error // why the location is not known; if set, the other fields are undefined
	size   int
	Signed bool
	konst  int64
	reg    string // "" for a constant
	memory bool
	off    int64
	index  string
	scale  int64
}

// Emit emits code that computes the argument from the registers.
func (u *USDTArg) Emit(a *Arch, b *ir.Builder, ctx *ir.Value) *ir.Value {
	if u.reg == "" {
		return b.Extend(b.Const(u.konst), u.size, u.Signed)
	}
	if u.memory {
		return b.Extend(readWord(b, u.Addr(a, b, ctx), u.size, types.User), u.size, u.Signed)
	}
	v := b.Load(ctx, int64(a.regs.Get()[u.reg]), 8, false)
	if u.off != 0 { // the second byte of a register: %ah
		v = b.Op(ir.OpShr, v, b.Const(u.off))
	}
	return b.Extend(v, u.size, u.Signed)
}

// InMemory returns the size in bytes of an argument in memory, or 0 if it is elsewhere.
func (u *USDTArg) InMemory() int {
	if !u.memory || u.reg == "" {
		return 0
	}
	return u.size
}

// Addr emits code that computes the address of an argument in memory.
func (u *USDTArg) Addr(a *Arch, b *ir.Builder, ctx *ir.Value) *ir.Value {
	addr := b.AddImm(b.Load(ctx, int64(a.regs.Get()[u.reg]), 8, false), u.off)
	if u.index == "" {
		return addr
	}
	i := b.Load(ctx, int64(a.regs.Get()[u.index]), 8, false)
	if u.scale != 1 {
		i = b.Op(ir.OpMul, i, b.Const(u.scale))
	}
	return b.Op(ir.OpAdd, addr, i)
}

// ParseUSDTArgs parses the arguments in a note: operands in assembler syntax, each
// preceded by its size in bytes and an @. The size is negative if the argument is
// signed: "-4@%eax 8@-16(%rbp)". symbol returns the distance in bytes from the
// probe to a symbol.
func ParseUSDTArgs(arch, text string, symbol func(name string) (int64, bool)) []USDTArg {
	var list []USDTArg
	for _, word := range splitArgs(text) {
		u := USDTArg{size: 8}
		if err := u.parse(arch, word, symbol); err != nil {
			u = USDTArg{Err: err}
		}
		list = append(list, u)
	}
	return list
}

func (u *USDTArg) parse(arch, word string, symbol func(string) (int64, bool)) error {
	operand := word
	if size, rest, ok := strings.Cut(word, "@"); ok {
		// The size of a floating-point operand ends in f.
		n, err := strconv.Atoi(strings.TrimSuffix(size, "f"))
		if err != nil {
			return outline.Errorf("%q has no size", word)
		}
		u.size, u.Signed, operand = max(n, -n), n < 0, rest
	}
	switch u.size {
	case 1, 2, 4, 8:
	default:
		return outline.Errorf("size %d is not supported", u.size)
	}
	ok := false
	switch arch {
	case "amd64":
		ok = u.parseX86(operand, symbol)
	case "arm64":
		ok = u.parseARM(operand)
	default:
		return outline.Errorf("arguments on %s are not known", arch)
	}
	if !ok {
		return outline.Errorf("operand %q is not supported, or it refers to a symbol that is not in the file", operand)
	}
	return nil
}

// splitArgs splits text at blanks outside of brackets: "8@[sp, 16]" is one word.
func splitArgs(text string) []string {
	var words []string
	depth, start := 0, -1
	for i := 0; i <= len(text); i++ {
		switch {
		case i == len(text) || text[i] == ' ' && depth == 0:
			if start >= 0 {
				words = append(words, text[start:i])
			}
			start = -1
			continue
		case text[i] == '[':
			depth++
		case text[i] == ']':
			depth--
		}
		if start < 0 {
			start = i
		}
	}
	return words
}

// x86Register returns the name in pt_regs of the register that contains a register of
// any width, and the position of the latter in the former, in bits.
func x86Register(name string) (reg string, shift int64, ok bool) {
	name, ok = strings.CutPrefix(name, "%")
	if !ok {
		return "", 0, false
	}
	switch name {
	case "rip", "eip":
		return "ip", 0, true
	case "ah", "bh", "ch", "dh":
		return name[:1] + "x", 8, true
	case "al", "bl", "cl", "dl":
		return name[:1] + "x", 0, true
	case "sil", "dil", "bpl", "spl":
		return name[:2], 0, true
	}
	if len(name) > 1 && name[0] == 'r' && name[1] >= '0' && name[1] <= '9' {
		name = strings.TrimRight(name, "dwb")
	} else if len(name) == 3 && (name[0] == 'r' || name[0] == 'e') {
		name = name[1:]
	}
	_, ok = AMD64.regs.Get()[name]
	return name, 0, ok
}

func (u *USDTArg) parseX86(op string, symbol func(string) (int64, bool)) bool {
	if rest, ok := strings.CutPrefix(op, "$"); ok {
		n, err := strconv.ParseInt(rest, 0, 64)
		if err != nil {
			var big uint64
			big, err = strconv.ParseUint(rest, 0, 64)
			n = int64(big)
		}
		u.konst = n
		return err == nil
	}
	open := strings.IndexByte(op, '(')
	if open < 0 {
		var ok bool
		u.reg, u.off, ok = x86Register(op)
		return ok
	}
	u.memory, u.scale = true, 1
	if op[open:] == "(%rip)" {
		// The instruction pointer contains the address of the probe.
		var ok bool
		u.reg = "ip"
		u.off, ok = symbolPlus(op[:open], symbol)
		return ok
	}
	if disp := op[:open]; disp != "" {
		n, err := strconv.ParseInt(disp, 0, 64)
		if err != nil {
			return false // relative to a symbol
		}
		u.off = n
	}
	parts := strings.Split(strings.TrimSuffix(op[open+1:], ")"), ",")
	if !strings.HasSuffix(op, ")") || len(parts) > 3 {
		return false
	}
	var ok bool
	if u.reg, _, ok = x86Register(strings.TrimSpace(parts[0])); !ok || u.reg == "ip" {
		return false
	}
	if len(parts) > 1 {
		if u.index, _, ok = x86Register(strings.TrimSpace(parts[1])); !ok {
			return false
		}
	}
	if len(parts) > 2 {
		n, err := strconv.ParseInt(strings.TrimSpace(parts[2]), 0, 64)
		u.scale, ok = n, err == nil
	}
	return ok
}

// symbolPlus returns the distance in bytes from the probe to a symbol plus an offset:
// "sym", "sym+8", "8+sym", "sym-8".
func symbolPlus(text string, symbol func(string) (int64, bool)) (int64, bool) {
	sum, seen := int64(0), false
	for term := range strings.SplitSeq(strings.ReplaceAll(text, "-", "+-"), "+") {
		if n, err := strconv.ParseInt(term, 0, 64); err == nil {
			sum += n
			continue
		}
		if term == "" {
			continue
		}
		at, ok := symbol(term)
		if !ok || seen {
			return 0, false
		}
		sum, seen = sum+at, true
	}
	return sum, seen
}

// armRegister accepts x0 … x30, w0 … w30 and sp.
func armRegister(name string) (string, bool) {
	name = strings.TrimSpace(name)
	if strings.HasPrefix(name, "w") {
		name = "x" + name[1:]
	}
	_, ok := ARM64.regs.Get()[name]
	return name, ok
}

func (u *USDTArg) parseARM(op string) bool {
	if inner, ok := strings.CutPrefix(op, "["); ok {
		u.memory, u.scale = true, 1
		inner, ok = strings.CutSuffix(inner, "]")
		parts := strings.Split(inner, ",")
		if !ok || len(parts) > 2 {
			return false
		}
		if u.reg, ok = armRegister(parts[0]); !ok {
			return false
		}
		if len(parts) == 2 {
			second := strings.TrimPrefix(strings.TrimSpace(parts[1]), "#")
			if n, err := strconv.ParseInt(second, 0, 64); err == nil {
				u.off = n
			} else if u.index, ok = armRegister(second); !ok {
				return false
			}
		}
		return true
	}
	if n, err := strconv.ParseInt(op, 0, 64); err == nil {
		u.konst = n
		return true
	}
	var ok bool
	u.reg, ok = armRegister(op)
	return ok
}
