package tetragon

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/lang/policy"
	"github.com/gotrace/gotrace/lang/source"
)

// negated maps negated operators to the operators that they negate.
var negations = map[string]string{
	"NotEqual": "Equal", "NotPrefix": "Prefix", "NotPostfix": "Postfix", "NotSPort": "SPort", "NotDPort": "DPort",
	"NotSPortPriv": "SPortPriv", "NotSportPriv": "SPortPriv", "NotDPortPriv": "DPortPriv", "NotSAddr": "SAddr", "NotDAddr": "DAddr",
	"NotInMap": "InMap", "NotInRange": "InRange", "NotFileType": "FileType",
}

var operators = []string{
	"Equal", "Prefix", "Postfix", "GreaterThan", "LessThan", "GT", "LT", "Mask", "SPort", "SPortPriv", "DPort", "DPortPriv", "SAddr", "DAddr",
	"Protocol", "Family", "State", "InMap", "CapabilitiesGained", "InRange", "SubString", "SubStringIgnCase", "FileType", "CelExpr",
}

// compare adds the condition for an operator applied to an argument.
func (h *hook) compare(a *arg, o *operands, cheap, dear *[]string) {
	op, not := o.operator, false
	if n, ok := negations[op]; ok {
		op, not = n, true
	}
	if !policy.Among(operators, op) {
		h.p.unknown(o.opAt, "there is no operator", o.operator, append(slices.Clone(operators), keys(negations)...))
		return
	}
	if len(o.values) == 0 && op != "SPortPriv" && op != "DPortPriv" {
		h.p.diags.Errorf(o.node.At, "the operator %s needs values", o.operator)
		return
	}
	before := h.p.diags.Errors()
	var cond, guard string
	to := cheap
	switch op {
	case "SPort", "SPortPriv", "DPort", "DPortPriv", "SAddr", "DAddr", "Protocol", "Family", "State":
		cond, guard = h.socketCondition(a, op, o)
	case "FileType":
		if a.t.mode != "" {
			mode := fill(a.t.mode, a.variable, "", "")
			cond = h.alternatives(o, func(w word) string {
				n, ok := fileTypes.Get()[strings.ToLower(w.text)]
				if !ok {
					h.p.unknown(w.at, "there is no type of files", w.text, keys(fileTypes.Get()))
				}
				return fmt.Sprintf("(%s & 0170000) == %d", mode, n)
			})
		}
	default:
		switch a.t.class {
		case numberClass:
			cond = h.numberCondition(a, op, o)
		case textClass:
			to = dear
			cond = textCondition(h.operand(a, to), op, o.texts())
		}
	}
	switch {
	case h.p.diags.Errors() > before:
	case cond == "":
		h.p.diags.Errorf(o.opAt, "the operator %s cannot be used with the type %s", o.operator, a.name)
	default:
		if not {
			cond = "!(" + cond + ")"
		}
		if guard != "" {
			*to = append(*to, guard)
		}
		*to = append(*to, cond)
	}
}

// operand returns the variable that has the text of an argument or, for the function's
// result, the expression.
func (h *hook) operand(a *arg, to *[]string) string {
	value := a.value
	switch a.name {
	case "char_buf", "const_buf":
		value = fmt.Sprintf("tg_strn(%s, %s)", a.variable, a.size)
	case "iov_iter":
		value = fill("tg_strn(tg_iter_at($), tg_iter_len($))", a.variable, "", "")
	}
	if a == h.ret {
		return value
	}
	v := h.keep(value)
	if value == a.value {
		a.valueVar = v
	}
	return v
}

// keep returns a variable that is set to the value of an expression before conditions on
// paths and strings.
func (h *hook) keep(expr string) string {
	for i, k := range h.kept {
		if k == expr {
			return fmt.Sprintf("$v%d", i)
		}
	}
	h.kept = append(h.kept, expr)
	return fmt.Sprintf("$v%d", len(h.kept)-1)
}

// alternatives returns the condition that one of the values matches.
func (h *hook) alternatives(o *operands, of func(word) string) string {
	var list []string
	for _, w := range o.values {
		list = append(list, of(w))
	}
	if len(list) == 1 {
		return list[0]
	}
	return "(" + strings.Join(list, " || ") + ")"
}

// among returns the condition that x is one of the values of a list in the language.
func among(x string, values []string) string {
	if len(values) == 1 && !strings.Contains(values[0], "..") {
		return x + " == " + values[0]
	}
	return x + " in (" + strings.Join(values, ", ") + ")"
}

// texts returns the values as texts. A policy may end them in a NUL.
func (o *operands) texts() (list []string) {
	for _, w := range o.values {
		list = append(list, strings.TrimSuffix(strings.TrimRight(w.text, "\x00"), `\0`))
	}
	return list
}

// maxPatterns is the maximum size of the patterns that are searched together, in bytes.
const maxPatterns = 500

// textCondition returns the condition for a text. It tests many patterns in groups.
func textCondition(x, op string, texts []string) string {
	var groups []string
	var list []string
	size := 0
	for i, s := range texts {
		list = append(list, source.Quote(s))
		size += len(s)
		if i+1 == len(texts) || size > maxPatterns && op != "Equal" && op != "InMap" {
			groups = append(groups, patternCondition(x, op, list))
			list, size = nil, 0
		}
	}
	if len(groups) == 1 || groups[0] == "" {
		return groups[0]
	}
	return "(" + strings.Join(groups, " || ") + ")"
}

// patternCondition returns the condition that a text equals one of several literals, or
// contains it.
func patternCondition(x, op string, list []string) string {
	values := list[0]
	if len(list) > 1 {
		values = "(" + strings.Join(list, ", ") + ")"
	}
	switch op {
	case "Equal", "InMap":
		return among(x, list)
	case "Prefix":
		return x + " startswith " + values
	case "Postfix":
		return x + " endswith " + values
	case "SubString":
		return x + " contains " + values
	case "SubStringIgnCase":
		return x + " icontains " + values
	}
	return ""
}

// numberCondition returns the condition on a number.
func (h *hook) numberCondition(a *arg, op string, o *operands) string {
	x := a.variable
	if a.t.value != "" {
		x = a.value
	}
	if op == "Mask" || op == "CapabilitiesGained" {
		var mask uint64
		for _, w := range o.values {
			if n, ok := lookup(capabilities.Get(), "CAP_", w.text); ok && (op == "CapabilitiesGained" || a.t.show == ShowCaps && !isNumber(w.text)) {
				mask |= 1 << (n & 63)
				continue
			}
			mask |= h.number(a, w)
		}
		if op == "Mask" {
			return fmt.Sprintf("(%s & %d) != 0", x, mask)
		}
		member := map[string]string{"cap_inheritable": "cap_inheritable", "cap_permitted": "cap_permitted"}[a.name]
		if member == "" {
			member = "cap_effective"
		}
		if a.t.show != ShowCaps {
			return ""
		}
		return fmt.Sprintf("(%s & %d & ~tg_caps((uint64)curtask.cred + offsetof(struct cred, %s))) != 0", x, mask, member)
	}
	if op == "GreaterThan" || op == "LessThan" {
		op = map[string]string{"GreaterThan": "GT", "LessThan": "LT"}[op]
	}
	switch op {
	case "GT", "LT":
		sign := map[string]string{"GT": ">", "LT": "<"}[op]
		return h.alternatives(o, func(w word) string { return fmt.Sprintf("%s %s %s", x, sign, h.literal(a, w)) })
	case "Equal", "InMap", "InRange":
		var list []string
		for _, w := range o.values {
			list = append(list, h.numbers(a, w)...)
		}
		if len(list) == 0 {
			return "false"
		}
		return among(x, list)
	}
	return ""
}

func isNumber(s string) bool {
	_, err := strconv.ParseUint(s, 0, 64)
	return err == nil
}

// numbers returns the literals for a value: a number, a range, or the members of a list.
func (h *hook) numbers(a *arg, w word) []string {
	if name, ok := strings.CutPrefix(w.text, "list:"); ok {
		l := h.p.lists[name]
		if l == nil {
			h.p.unknown(w.at, "the policy has no list", name, keys(h.p.lists))
			return nil
		}
		var out []string
		for _, call := range l.names {
			if n, ok := h.p.syscallNumber(call); ok {
				out = append(out, strconv.FormatUint(n, 10))
			} else if isNumber(call) {
				out = append(out, call)
			} else {
				h.p.diags.Warnf(w.at, "this kernel has no system call '%s': it is left out", call)
			}
		}
		return out
	}
	if i := strings.IndexByte(w.text, ':'); i > 0 {
		from, to := h.number(a, word{w.text[:i], w.at}), h.number(a, word{w.text[i+1:], w.at})
		if a.t.signed && int64(from) > int64(to) || !a.t.signed && from > to {
			h.p.diags.Errorf(w.at, "the range '%s' is empty: it ends before it starts", w.text)
		}
		return []string{a.literal(from) + ".." + a.literal(to)}
	}
	return []string{h.literal(a, w)}
}

// literal returns the literal of the number that a value is.
func (h *hook) literal(a *arg, w word) string { return a.literal(h.number(a, w)) }

// literal returns the literal of a number for comparisons with the argument.
func (a *arg) literal(n uint64) string {
	if a.t.signed {
		return strconv.FormatInt(int64(n), 10)
	}
	return strconv.FormatUint(n, 10)
}

// fit converts a number to the argument's type. A number may be given as signed or
// unsigned, such as -1 and 4294967295, which have the same bits. It returns false if the
// number is too large.
func (a *arg) fit(n uint64, negative bool) (uint64, bool) {
	bits := map[string]int{"int8": 8, "uint8": 8, "int16": 16, "uint16": 16, "int32": 32, "uint32": 32}[a.t.c]
	if bits == 0 {
		return n, true
	}
	if negative && int64(n) < -1<<(bits-1) || !negative && n >= 1<<bits {
		return 0, false
	}
	if n &= 1<<bits - 1; a.t.signed && n>>(bits-1) != 0 {
		n |= ^uint64(0) << bits
	}
	return n, true
}

// number parses a number. It returns a signed one as its bits.
func (h *hook) number(a *arg, w word) uint64 {
	text := strings.TrimSpace(w.text)
	n, err := strconv.ParseUint(text, 0, 64)
	negative := false
	if err != nil {
		var i int64
		i, err = strconv.ParseInt(text, 0, 64)
		n, negative = uint64(i), i < 0
	}
	if err == nil {
		n, ok := a.fit(n, negative)
		if !ok {
			h.p.diags.Errorf(w.at, "%s does not fit in the type %s", text, a.name)
		}
		return n
	}
	if a.t.names.table != nil {
		if n, ok := lookup(a.t.names.table, a.t.names.prefix, text); ok {
			return n
		}
	}
	if a.name == "syscall64" {
		if n, ok := h.p.syscallNumber(text); ok {
			return n
		}
		h.p.diags.Errorf(w.at, "this kernel has no system call '%s'", text)
		return 0
	}
	h.p.diags.Errorf(w.at, "'%s' is not a number", text)
	return 0
}

// syscallNumber returns the number of a system call.
func (p *policyReader) syscallNumber(name string) (uint64, bool) {
	if p.script.numbers == nil {
		p.script.numbers = map[string]uint64{}
		for nr := range 1024 {
			if s := p.terms.Kernel.SyscallName(nr); s != "" {
				p.script.numbers[s] = uint64(nr)
			}
		}
	}
	n, ok := p.script.numbers[syscallName(name)]
	return n, ok
}

// socketCondition returns the condition on a part of a socket, a packet or an address,
// and the condition that the part exists, or "".
func (h *hook) socketCondition(a *arg, op string, o *operands) (cond, guard string) {
	part := map[string]socketPart{
		"SPort": sockSourcePort, "SPortPriv": sockSourcePort, "DPort": sockTargetPort, "DPortPriv": sockTargetPort,
		"SAddr": sockSource, "DAddr": sockTarget, "Protocol": sockProtocol, "Family": sockFamily, "State": sockState,
	}[op]
	expr := a.t.partOf(part)
	if expr == "" {
		return "", ""
	}
	expr = fill(expr, a.variable, "", a.size)
	family := fill(a.t.partOf(sockFamily), a.variable, "", a.size)
	named := func(table map[string]uint64, prefix, what string) string {
		var list []string
		for _, w := range o.values {
			n, ok := lookup(table, prefix, w.text)
			if !ok {
				h.p.unknown(w.at, "there is no "+what, w.text, prefixed(table, prefix))
			}
			list = append(list, strconv.FormatUint(n, 10))
		}
		return among(expr, list)
	}
	switch op {
	case "Family":
		return named(families.Get(), "AF_", "family"), ""
	case "Protocol":
		return named(protocols.Get(), "IPPROTO_", "protocol"), ""
	case "State":
		return named(states.Get(), "TCP_", "state of TCP"), ""
	case "SPortPriv", "DPortPriv":
		return expr + " < 1024", among(family, []string{"2", "10"})
	case "SPort", "DPort":
		var list []string
		for _, w := range o.values {
			list = append(list, h.ports(w))
		}
		return among(expr, list), among(family, []string{"2", "10"})
	}
	var list []string
	for _, w := range o.values {
		addr := strings.TrimSpace(w.text)
		if !isAddress(addr) {
			h.p.diags.Errorf(w.at, "'%s' is not an address or a prefix of addresses", w.text)
		}
		list = append(list, source.Quote(addr))
	}
	return expr + " in (" + strings.Join(list, ", ") + ")", among(family, []string{"2", "10"})
}

//go:noinline
func prefixed(table map[string]uint64, prefix string) []string {
	var list []string
	for _, k := range keys(table) {
		list = append(list, prefix+k)
	}
	return list
}

// ports returns the literal of a port, or of a range of ports.
func (h *hook) ports(w word) string {
	from, to, ranged := strings.Cut(w.text, ":")
	a, err := strconv.ParseUint(from, 0, 16)
	b, err2 := a, error(nil)
	if ranged {
		b, err2 = strconv.ParseUint(to, 0, 16)
	}
	if err != nil || err2 != nil || b < a {
		h.p.diags.Errorf(w.at, "'%s' is not a port or a range of ports, such as 80 or 8000:8080", w.text)
		return "0"
	}
	if ranged {
		return fmt.Sprintf("%d..%d", a, b)
	}
	return strconv.FormatUint(a, 10)
}
