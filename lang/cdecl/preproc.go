package cdecl

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/lang/source"
)

// macro is the definition of a macro.
type macro struct {
	name     string
	params   []string
	function bool
	variadic bool
	given    bool // predefined, not defined by the script or a header
	body     []token
}

// maxIncludeDepth is the maximum depth of #include, and maxTokens the maximum number of
// tokens in a C section. maxExpansion is the maximum number of tokens, including
// intermediate ones, that macros produce from one run of tokens or one name.
const (
	maxIncludeDepth = 200
	maxTokens       = 4 << 20
	maxExpansion    = 1 << 18
)

// preprocess expands macros and evaluates conditionals in the lines of a file
// or section, and appends the resulting tokens to u.toks.
func (u *Decls) preprocess(lines []line) {
	type cond struct {
		active, taken, parent bool
		at                    source.Span
	}
	var conds []cond
	active := true
	var run []token // consecutive ordinary lines, which are expanded together: macro calls may extend over several lines
	flush := func() {
		if len(run) > 0 {
			u.toks = append(u.toks, u.expandAll(run)...)
			run = nil
		}
	}
	for _, l := range lines {
		if len(u.toks) > maxTokens {
			u.errorf(l.span, "The C section expands to more than %d tokens", maxTokens)
			return
		}
		if !l.directive {
			if active {
				run = append(run, l.toks...)
			}
			continue
		}
		flush()
		if len(l.toks) == 0 {
			continue
		}
		name, rest := l.toks[0].text, l.toks[1:]
		switch name {
		case "if", "ifdef", "ifndef":
			v := false
			if active {
				v = u.condition(name, rest, l.span)
			}
			conds = append(conds, cond{active: v, taken: v, parent: active, at: l.span})
			active = active && v
			continue
		case "elif", "elifdef", "elifndef", "else":
			if len(conds) == 0 {
				u.errorf(l.span, "#%s without #if", name)
				continue
			}
			c := &conds[len(conds)-1]
			v := false
			if c.parent && !c.taken {
				v = name == "else" || u.condition(strings.TrimPrefix(name, "el"), rest, l.span)
			}
			c.active, c.taken = v, c.taken || v
			active = c.parent && v
			continue
		case "endif":
			if len(conds) == 0 {
				u.errorf(l.span, "#endif without #if")
				continue
			}
			active = conds[len(conds)-1].parent
			conds = conds[:len(conds)-1]
			continue
		}
		if !active {
			continue
		}
		switch name {
		case "define":
			u.define(rest, l.span)
		case "undef":
			if len(rest) == 0 {
				u.errorf(l.span, "#undef needs a name")
			} else {
				delete(u.macros, rest[0].text)
			}
		case "include", "include_next":
			if !u.opts.Alone {
				u.include(rest, l.span)
			}
		case "error":
			u.errorf(l.span, "#error %s", strings.TrimSpace(strings.TrimPrefix(strings.TrimPrefix(strings.TrimSpace(l.span.Text()), "#"), "error")))
		case "pragma", "line", "warning", "ident":
		default:
			u.errorHint(l.span, "comments start with //", "Unknown preprocessor directive #%s", name)
		}
	}
	flush()
	if len(conds) > 0 {
		u.errorf(conds[len(conds)-1].at, "#if without #endif")
	}
}

func (u *Decls) define(toks []token, at source.Span) {
	if len(toks) == 0 || toks[0].kind != tIdent {
		u.errorf(at, "#define needs a name")
		return
	}
	m := &macro{name: toks[0].text}
	rest := toks[1:]
	if len(rest) > 0 && rest[0].is("(") && !rest[0].space {
		m.function = true
		i := 1
		for ; i < len(rest) && !rest[i].is(")"); i++ {
			switch {
			case rest[i].kind == tIdent:
				m.params = append(m.params, rest[i].text)
			case rest[i].is("..."):
				m.variadic = true
				m.params = append(m.params, "__VA_ARGS__")
			}
		}
		rest = rest[min(i+1, len(rest)):]
	}
	m.body = rest
	u.macros[m.name] = m
	if !m.function {
		u.defines = append(u.defines, m.name)
	}
}

func (u *Decls) condition(directive string, toks []token, at source.Span) bool {
	switch directive {
	case "ifdef", "ifndef":
		if len(toks) == 0 {
			u.errorf(at, "#%s needs a name", directive)
			return false
		}
		return (u.macros[toks[0].text] != nil) == (directive == "ifdef")
	}
	// Evaluate defined X before macros are expanded.
	var in []token
	for i := 0; i < len(toks); i++ {
		t := toks[i]
		if !t.is("defined") && !t.is("__has_include") && !t.is("__has_attribute") && !t.is("__has_builtin") && !t.is("__has_feature") && !t.is("__has_extension") {
			in = append(in, t)
			continue
		}
		j := i + 1
		paren := j < len(toks) && toks[j].is("(")
		if paren {
			j++
		}
		val := "0"
		if j < len(toks) && t.is("defined") && u.macros[toks[j].text] != nil {
			val = "1"
		}
		if paren {
			for j < len(toks) && !toks[j].is(")") {
				j++
			}
		}
		in = append(in, token{kind: tNumber, text: val, span: t.span})
		i = j
	}
	e := &exprParser{toks: u.expandAll(in), undefinedIsZero: true, name: func(n string) (int64, bool) {
		if len(u.Missing) == 0 {
			return 0, false
		}
		c, ok := u.Known(n)
		return c.Int, ok
	}}
	v, err := e.parse()
	if err != nil {
		u.errorf(at, "Cannot evaluate this #if: %v", err)
		return false
	}
	return v != 0
}

// Expand returns text, a piece of a script, with its macros expanded.
func (u *Decls) Expand(text string) string {
	var toks []token
	for _, l := range fileLines(source.NewFile("<macro>", text)) {
		toks = append(toks, l.toks...)
	}
	var b bytes.Buffer
	last := ""
	for _, t := range u.expandAll(toks) {
		// A blank separates tokens of different macros. @ and $ form one token with the
		// name that follows them.
		if b.Len() > 0 && (t.space || last != "@" && last != "$") {
			b.WriteByte(' ')
		}
		b.WriteString(scriptToken(t))
		last = t.text
	}
	return b.String()
}

// scriptToken returns a token in the syntax of a script: an integer without its suffix,
// or a character's value.
func scriptToken(t token) string {
	switch t.kind {
	case tNumber:
		if _, err := parseInt(t.text); err == nil {
			return strings.TrimRight(t.text, "uUlL")
		}
	case tChar:
		if v, err := parseChar(t.text); err == nil {
			return strconv.FormatInt(v, 10)
		}
	}
	return t.text
}

// expandAll expands all macro calls.
//
//go:noinline
func (u *Decls) expandAll(toks []token) []token {
	u.budget = maxExpansion + len(toks)
	return u.expand(toks, nil)
}

// spend subtracts n tokens from the budget. If there are not enough, it reports an
// error and returns false.
func (u *Decls) spend(n int, at source.Span) bool {
	if u.budget >= 0 && u.budget < n {
		u.errorf(at, "Macros expand to more than %d tokens", maxExpansion)
	}
	u.budget -= n
	return u.budget >= 0
}

// expand expands macro calls. hide names the macros that are being expanded, which are
// not expanded again.
func (u *Decls) expand(toks []token, hide []string) []token {
	var out []token
	for i := 0; i < len(toks); i++ {
		t := toks[i]
		m := u.macros[t.text]
		within := u.spend(1, t.span)
		if t.kind != tIdent || m == nil || slices.Contains(hide, t.text) || len(hide) > 64 || !within {
			out = append(out, t)
			continue
		}
		var args [][]token
		if m.function {
			j := i + 1
			if j >= len(toks) || !toks[j].is("(") {
				out = append(out, t)
				continue
			}
			depth := 0
			var arg []token
			for ; j < len(toks); j++ {
				switch {
				case toks[j].is("("):
					depth++
					if depth == 1 {
						continue
					}
				case toks[j].is("["): // the key of a map may contain commas
					depth++
				case toks[j].is(")"), toks[j].is("]"):
					depth--
				case toks[j].is(",") && depth == 1 && !(m.variadic && len(args) >= len(m.params)-1):
					args = append(args, arg)
					arg = nil
					continue
				}
				if depth == 0 {
					break
				}
				arg = append(arg, toks[j])
			}
			args = append(args, arg)
			i = min(j, len(toks)-1)
		}
		body := u.substitute(m, args, hide, t)
		out = append(out, u.expand(body, append(slices.Clone(hide), m.name))...)
	}
	return out
}

func (u *Decls) substitute(m *macro, args [][]token, hide []string, call token) []token {
	arg := func(name string) ([]token, bool) {
		if k := slices.Index(m.params, name); m.function && k >= 0 {
			if k < len(args) {
				return args[k], true
			}
			return nil, true
		}
		return nil, false
	}
	var out []token
	for i := 0; i < len(m.body); i++ {
		t := m.body[i]
		t.span = call.span // errors are reported at the use
		if t.is("#") && i+1 < len(m.body) {
			if a, ok := arg(m.body[i+1].text); ok {
				var parts []string
				for _, x := range a {
					parts = append(parts, x.text)
				}
				out = append(out, token{kind: tString, text: `"` + strings.Join(parts, " ") + `"`, span: call.span})
				i++
				continue
			}
		}
		if t.is("##") && len(out) > 0 && i+1 < len(m.body) {
			next := []token{m.body[i+1]}
			if a, ok := arg(m.body[i+1].text); ok {
				next = a
			}
			if len(next) > 0 {
				last := &out[len(out)-1]
				last.text += next[0].text
				out = append(out, next[1:]...)
			}
			i++
			continue
		}
		if a, ok := arg(t.text); ok {
			pasted := i+1 < len(m.body) && m.body[i+1].is("##")
			if !pasted {
				a = u.expand(a, hide)
			}
			if u.spend(len(a), call.span) {
				out = append(out, a...)
			}
			continue
		}
		out = append(out, t)
	}
	return out
}

// versionHeader returns linux/version.h for the running kernel. The file on the machine
// often belongs to another kernel.
func (u *Decls) versionHeader() string {
	v := u.opts.Release
	return fmt.Sprintf(`#define LINUX_VERSION_CODE %d
#define LINUX_VERSION_MAJOR %d
#define LINUX_VERSION_PATCHLEVEL %d
#define LINUX_VERSION_SUBLEVEL %d
#define KERNEL_VERSION(a,b,c) (((a) << 16) + ((b) << 8) + ((c) > 255 ? 255 : (c)))
`, v[0]<<16+v[1]<<8+min(v[2], 255), v[0], v[1], v[2])
}

// builtinHeaders replaces the headers that a compiler provides.
var builtinHeaders = map[string]string{
	"stddef.h":  "typedef unsigned long size_t; typedef long ptrdiff_t; typedef int wchar_t;\n#define NULL 0\n",
	"stdarg.h":  "typedef void *va_list; typedef void *__gnuc_va_list;\n",
	"stdbool.h": "#define bool _Bool\n#define true 1\n#define false 0\n",
	"float.h":   "",
}

// include reads a header. A missing header is not an error if the kernel's BTF may
// contain its types and the table its constants.
func (u *Decls) include(toks []token, at source.Span) {
	if len(toks) > 0 && toks[0].kind == tIdent {
		toks = u.expandAll(toks)
	}
	var name string
	quoted := false
	switch {
	case len(toks) > 0 && toks[0].kind == tString:
		name, quoted = strings.Trim(toks[0].text, `"`), true
	case len(toks) > 1 && toks[0].is("<"):
		for _, t := range toks[1:] {
			if t.is(">") {
				break
			}
			name += t.text
		}
	}
	if name == "" {
		u.errorf(at, "#include needs a file name in quotes or angle brackets")
		return
	}
	text, ok := builtinHeaders[name]
	if strings.HasSuffix(name, "linux/version.h") && u.opts.Release[0] > 0 {
		text, ok = u.versionHeader(), true
	}
	if ok {
		u.preprocess(fileLines(source.NewFile("<"+name+">", text)))
		return
	}
	var dirs []string
	if quoted {
		dirs = append(dirs, filepath.Dir(at.File.Name))
	}
	dirs = append(append(dirs, u.opts.Dirs...), systemIncludeDirs(u.opts.Reader)...)
	for _, dir := range dirs {
		path := filepath.Join(dir, name)
		if filepath.IsAbs(name) {
			path = name
		}
		if u.included[path] {
			return
		}
		data, err := u.opts.Reader.ReadFile(path)
		if err != nil {
			continue
		}
		if u.depth >= maxIncludeDepth {
			u.errorf(at, "#include nested more than %d deep", maxIncludeDepth)
			return
		}
		text := string(data)
		if guarded(text) {
			u.included[path] = true
		}
		if !u.header {
			u.header, u.headerAt = true, at
			defer func() { u.header = false }()
		}
		u.depth++
		u.preprocess(fileLines(source.NewFile(path, text)))
		u.depth--
		return
	}
	if !u.standIn(name) {
		hint := "neither the file nor its declarations are known"
		if quoted {
			hint = ""
		}
		u.errorHint(at, hint, "Include file %s was not found", name)
	}
}

// ofKernel reports whether a header belongs to the kernel, so that its types are also
// in BTF: its path starts with a directory of the kernel's headers, or with "..".
func ofKernel(name string) bool {
	dir, _, _ := strings.Cut(name, "/")
	switch dir {
	case "linux", "uapi", "generated", "asm", "asm-generic", "net", "trace", "crypto", "scsi", "sound", "drm", "rdma",
		"media", "misc", "mtd", "acpi", "xen", "kvm", "target", "video", "pcmcia", "keys", "ras", "soc", "vdso", "cxl", "..":
		return dir != name
	}
	return false
}

// guarded reports whether a header has an include guard.
func guarded(text string) bool {
	return strings.Contains(text, "#ifndef") || strings.Contains(text, "#pragma once") || strings.Contains(text, "# ifndef")
}

// systemIncludeDirs returns the directories of the system's headers.
func systemIncludeDirs(files *source.Files) []string {
	dirs := []string{"/usr/local/include", "/usr/include"}
	return append(dirs, files.Glob("/usr/include/*-linux-gnu")...)
}
