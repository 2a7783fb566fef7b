package tetragon

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/lang/policy/yaml"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
)

// arg is an argument of a hook.
type arg struct {
	at       source.Span
	index    int
	name     string // of its type
	t        *argType
	word     string // expression
	variable string
	value    string // the variable or expression that operators see
	valueVar string // a variable that holds value; set when it is needed
	size     string // expression of the size of a buffer
	late     bool   // it is read when the function returns
	shown    Arg
	whole    bool // the word is a struct, not the address of a struct
}

// arguments reads the arguments of a hook.
func (h *hook) arguments(hn *hookNode) {
	for _, n := range h.p.items(hn.args) {
		if a := h.argument(n, false); a != nil {
			h.args = append(h.args, a)
		}
	}
	for _, n := range h.p.items(hn.data) {
		if a := h.argument(n, true); a != nil {
			h.data = append(h.data, a)
		}
	}
	if !hn.ret && hn.returnArg == nil {
		return
	}
	if len(h.returns) == 0 {
		h.p.diags.Errorf(h.at, "this hook does not see when its function returns")
		return
	}
	if hn.returnArg != nil {
		h.ret = h.returnArgument(hn.returnArg)
	} else {
		h.ret = &arg{at: h.at, name: "int", value: "$r", t: argTypes.Get()["int"], shown: Arg{Type: "int", Show: ShowInt, Fields: 1}}
	}
	if h.ret != nil {
		h.ret.word, h.ret.variable = h.result, "$r"
		h.event.Return = &h.ret.shown
	}
	if hn.retAction != nil {
		h.retAction = h.p.text(hn.retAction)
		if h.retAction != "TrackSock" && h.retAction != "UntrackSock" && h.retAction != "Post" {
			h.p.unknown(hn.retAction.At, "there is no action for results", h.retAction, []string{"TrackSock", "UntrackSock", "Post"})
		}
	}
}

// spec is an argument as it is in the file.
type spec struct {
	index                     int
	typ, label, resolve, from string
	typeAt, resolveAt, btfAt  source.Span
	btf, module               string // the type that resolve starts from, and its module
	size                      int
	copyAtReturn, given       bool
}

func (h *hook) argSpec(n *yaml.Node) (s spec, ok bool) {
	p := h.p
	s.typ, s.typeAt = "auto", n.At
	ok = p.object(n, "an argument", fields{
		{"index", func(n *yaml.Node) { s.index, s.given = int(p.integer(n)), true }},
		{"type", func(n *yaml.Node) { s.typ, s.typeAt = p.text(n), n.At }},
		{"label", func(n *yaml.Node) { s.label = p.text(n) }},
		{"resolve", func(n *yaml.Node) { s.resolve, s.resolveAt = p.text(n), n.At }},
		{"btfType", func(n *yaml.Node) { s.btf, s.btfAt = p.text(n), n.At }},
		{"btfTypeModule", func(n *yaml.Node) { s.module = p.text(n) }},
		{"source", func(n *yaml.Node) { s.from = p.text(n) }},
		{"sizeArgIndex", func(n *yaml.Node) { s.size = int(p.integer(n)) }},
		{"returnCopy", func(n *yaml.Node) { s.copyAtReturn = p.boolean(n) }},
		{"maxData", func(n *yaml.Node) { p.boolean(n) }},
	})
	if s.index < 0 || s.index > 64 {
		p.diags.Errorf(n.At, "there is no argument %d", s.index)
		return s, false
	}
	return s, ok
}

// argument reads an argument, or data that does not come from the arguments.
func (h *hook) argument(n *yaml.Node, data bool) *arg {
	s, ok := h.argSpec(n)
	if !ok {
		return nil
	}
	p := h.p
	a := &arg{at: n.At, index: s.index, late: s.copyAtReturn}
	var par *param
	if data {
		a.variable = fmt.Sprintf("$d%d", len(h.data))
		switch s.from {
		case "current_task", "":
			if s.resolve == "" {
				p.diags.Errorf(n.At, "data of the current task needs 'resolve'")
				return nil
			}
			a.word = "curtask"
		case "pt_regs":
			if !strings.HasPrefix(h.targets[0][1:], "probe:") { // neither kprobe nor uprobe
				p.unsupported(n.At, "registers cannot be read at this hook, which is watched by %s", h.targets[0])
				return nil
			}
			reg := p.register(n.Get("resolve"), s.resolve)
			if reg == "" {
				return nil
			}
			a.word, s.resolve = "reg("+source.Quote(reg)+")", ""
		default:
			p.unknown(n.At, "there is no source", s.from, []string{"current_task", "pt_regs"})
			return nil
		}
	} else {
		a.variable = fmt.Sprintf("$a%d", len(h.args))
		if a.word, par = h.word(s.index); a.word == "" {
			p.diags.Errorf(n.At, "there is no argument %d", s.index)
			return nil
		}
	}
	what := par // of which the argument is a value
	ofProgram := s.resolve != "" && h.typesIn != nil && !data
	if ofProgram {
		var t *types.Type
		if a.word, t = h.inProgram(a.word, &s); t == nil {
			return nil
		}
		what = &param{Type: t}
	} else if s.resolve != "" {
		var t *types.Type
		if a.word, t = h.resolved(a.word, par, &s); a.word == "" {
			return nil
		}
		if what = nil; t != nil {
			a.whole = t.Kind == types.Struct
			what = &param{Type: t}
		}
	}
	a.name = s.typ
	if s.typ == "auto" {
		a.name = typeOf(what)
	}
	if a.t = argTypes.Get()[a.name]; a.t == nil {
		p.unknown(s.typeAt, "there is no type", s.typ, append(keys(argTypes.Get()), "auto"))
		return nil
	}
	if c, ok := strings.CutSuffix(a.t.c, "*"); ok {
		if _, err := p.terms.Kernel.Type(c); err != nil {
			p.unsupported(s.typeAt, "this kernel has no '%s', which the type %s shows", c, a.name)
			return nil
		}
	}
	if what != nil && !ofProgram && what.Type.Kind == types.Struct && a.t.c != "" && (a.t.class == numberClass || !strings.HasSuffix(a.t.c, what.Type.Name+"*")) {
		p.diags.Errorf(s.resolveAt, "'%s' is a %s, not a value of the type %s: name one of its members", s.resolve, what.Type, a.name)
		return nil
	}
	if what != nil && !ofProgram && what.Type.Kind == types.Array && !what.Recorded() && a.t.class == numberClass && a.t.value == "" {
		a.word += "[0]"
	}
	a.shown = Arg{Type: a.name, Label: s.label, Data: data, Show: a.t.show, Fields: len(a.t.fields)}
	a.size = "4096"
	if s.size > 0 {
		w, _ := h.word(s.size - 1)
		if w == "" {
			p.diags.Errorf(n.At, "there is no argument %d for the size", s.size)
			return nil
		}
		a.size = "(uint64)" + w
	}
	if a.late && len(h.returns) == 0 {
		p.diags.Errorf(n.At, "this hook does not see when its function returns")
	}
	h.valueOf(a, par, s.resolve != "" && !ofProgram)
	if a.whole && a.t.show == ShowCaps {
		a.word, a.value = capsIn(a.word, what.Type), a.variable
	}
	return a
}

// capsIn returns the number with the bits of a kernel_cap_t, whose form depends on the
// kernel.
func capsIn(word string, t *types.Type) string {
	if member(t, "val") != nil {
		return word + ".val"
	}
	return "((uint64)" + word + ".cap[1] << 32 | (uint64)" + word + ".cap[0])"
}

// valueOf sets the expressions of an argument.
func (h *hook) valueOf(a *arg, par *param, resolved bool) {
	value := a.t.value
	if value == "" {
		value = "$"
	}
	if (a.name == "string" || a.name == "data_loc") && (resolved || h.kind == tracepointHook) {
		// The expression has the type of the kernel's member or field, which may be an array.
		a.variable, value = "", "str("+a.word+")"
		if par != nil && !resolved && isText(par) {
			value = a.word
		}
	}
	a.value = fill(value, a.variable, "", a.size)
}

// returnArgument reads the description of the function's result.
func (h *hook) returnArgument(n *yaml.Node) *arg {
	s, ok := h.argSpec(n)
	if !ok {
		return nil
	}
	a := &arg{at: n.At, name: s.typ, variable: "$r", size: "4096"}
	if s.typ == "auto" {
		a.name = "int"
	}
	if a.t = argTypes.Get()[a.name]; a.t == nil {
		h.p.unknown(s.typeAt, "there is no type", s.typ, append(keys(argTypes.Get()), "auto"))
		return nil
	}
	a.shown = Arg{Type: a.name, Label: s.label, Show: a.t.show, Fields: len(a.t.fields)}
	value := a.t.value
	if value == "" {
		value = "$"
	}
	a.value = fill(value, a.variable, "", a.size)
	return a
}

// resolved returns the expression of the member at the end of a path, and its type, or nil if
// the type is not known.
func (h *hook) resolved(word string, par *param, s *spec) (expr string, of *types.Type) {
	parts := slices.DeleteFunc(strings.Split(s.resolve, "."), func(s string) bool { return s == "" })
	for _, part := range parts {
		name, rest, _ := strings.Cut(part, "[")
		if strings.ContainsFunc(name, func(r rune) bool { return r > 127 || !isWord(byte(r)) }) || rest != "" && !isIndex(rest) {
			h.p.diags.Errorf(s.resolveAt, "'%s' is not a path of members", s.resolve)
			return "", nil
		}
	}
	var t *types.Type
	if s.btf != "" {
		if t, word = h.p.namedType(s, word); t == nil {
			return "", nil
		}
	} else if word == "curtask" {
		t, _ = h.p.terms.Kernel.Type("struct task_struct")
	} else if par == nil {
		h.p.unsupported(s.resolveAt, "the type of argument %d is not known, so 'resolve' cannot be followed", s.index)
		return "", nil
	} else {
		t = par.Type
		if !strings.HasPrefix(word, "args.") {
			word = "((" + t.String() + ")" + word + ")"
		}
	}
	for _, part := range parts {
		if t = member(t, part); t == nil {
			break
		}
	}
	return word + "." + strings.Join(parts, "."), t
}

// namedType returns the type that an argument has by btfType, and the argument with that type.
func (p *policyReader) namedType(s *spec, word string) (*types.Type, string) {
	name := s.btf
	for _, prefix := range []string{"struct ", "union "} {
		name = strings.TrimPrefix(name, prefix)
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r > 127 || !isWord(byte(r)) }) || name == "" {
		p.diags.Errorf(s.btfAt, "'%s' is not the name of a type", s.btf)
		return nil, ""
	}
	for _, kind := range []string{"struct ", "union "} {
		if t, err := p.terms.Kernel.Type(kind + name); err == nil {
			return t, "((" + kind + name + "*)" + word + ")"
		}
	}
	if s.module != "" {
		p.unsupported(s.btfAt, "neither the kernel nor a module that is loaded has the type '%s'", name)
	} else {
		p.unsupported(s.btfAt, "this kernel has no type '%s'", name)
	}
	return nil, ""
}

// member returns the type of a member, or nil if it is not known.
func member(t *types.Type, part string) *types.Type {
	name, index, _ := strings.Cut(part, "[")
	if t != nil && t.Kind == types.Pointer {
		t = t.Elem
	}
	if t == nil || t.Kind != types.Struct {
		return nil
	}
	f, ok := t.Field(name)
	if !ok {
		return nil
	}
	if index != "" && (f.Type.Kind == types.Array || f.Type.Kind == types.Pointer) {
		return f.Type.Elem
	}
	return f.Type
}

// isIndex reports whether s is the rest of an index: "3]".
func isIndex(s string) bool {
	n, ok := strings.CutSuffix(s, "]")
	_, err := strconv.ParseUint(n, 10, 16)
	return ok && err == nil
}
