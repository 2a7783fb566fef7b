// Package cdecl reads the C section of a script and the headers it includes:
// object-like #defines, struct, union and enum definitions, and typedefs. It
// consists of a preprocessor and a parser for declarations. It skips function
// declarations and bodies in headers, and reports an error at any line that it
// cannot parse.
//
// Types have the layout of the System V ABI for 64-bit machines. Names that the
// section does not define are looked up in Includes.Kernel, so kernel types
// come from BTF without any header.
package cdecl

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
)

// Includes specifies where to search for headers and definitions.
type Includes struct {
	Kernel  Kernel            // types that the C text does not define; may be nil
	Dirs    []string          // -I, searched before the system's
	Files   []string          // --include, read first
	Reader  *source.Files     // reads all of them; nil: from disk
	Defines map[string]string // predefined macros in addition to the usual ones of a compiler
	Alone   bool              // #include does nothing
	Release [3]int            // version of the kernel; it selects the values in the table of constants
}

// Kernel looks up types by "struct x", "enum e" or the bare name of a typedef.
type Kernel interface {
	Type(name string) (*types.Type, error)
}

// Const is the value of an object-like macro or an enum constant.
type Const struct {
	Int      int64
	Unsigned bool // Int holds a uint64 above the signed range
	Str      string
	IsStr    bool
	Type     *types.Type // of an enum constant; nil for a macro
}

// Decls holds the definitions of the C sections of a script.
type Decls struct {
	// Missing lists the included headers that do not exist on this machine. Their types
	// are taken from the kernel, and their constants from the table.
	Missing []string

	opts     Includes
	diags    *source.Diags
	macros   map[string]*macro
	budget   int      // tokens that the current expansion may still process
	defines  []string // object-like macros in order
	included map[string]bool
	depth    int
	header   bool        // inside an #include
	headerAt source.Span // of the outermost #include

	toks     []token
	pos      int
	nest     int
	tags     map[string]*types.Type // "struct x", "union x", "enum x"
	typedefs map[string]*types.Type
	consts   map[string]Const
	names    []string        // of the types, in order
	own      map[string]bool // types defined by the script itself
	replaces string          // kernel type that the script is redefining, or ""
}

// IsFunctionMacro reports whether name is a macro with parameters.
func (u *Decls) IsFunctionMacro(name string) bool {
	m := u.macros[name]
	return m != nil && m.function
}

// HasFunctionMacros reports whether there is a macro with parameters.
func (u *Decls) HasFunctionMacros() bool {
	for _, m := range u.macros {
		if m.function {
			return true
		}
	}
	return false
}

// IsObjectMacro reports whether the script or a header defines name as a macro
// without parameters.
func (u *Decls) IsObjectMacro(name string) bool {
	m := u.macros[name]
	return m != nil && !m.function && !m.given
}

// Parse parses the items of a C section. It adds errors to diags; the returned
// Decls hold everything that could be parsed.
func Parse(items []*ast.CItem, opts Includes, diags *source.Diags) *Decls {
	u := NewUnit(opts, diags)
	var spans []source.Span
	for _, name := range opts.Files {
		f := source.NewFile("<command line>", includeLine(opts.Reader, name))
		spans = append(spans, source.Span{File: f, End: len(f.Text)})
	}
	for _, it := range items {
		spans = append(spans, it.Pos)
	}
	u.Add(spans...)
	return u
}

// includeLine returns the directive for a file of --include. If the file does
// not exist, it may be a header in one of the include directories.
func includeLine(files *source.Files, name string) string {
	if _, err := files.Stat(name); err != nil && !filepath.IsAbs(name) {
		return "#include <" + name + ">\n"
	}
	return `#include "` + name + "\"\n"
}

// NewUnit returns a Decls without definitions.
func NewUnit(opts Includes, diags *source.Diags) *Decls {
	u := &Decls{
		opts: opts, diags: diags, macros: map[string]*macro{}, included: map[string]bool{},
		tags: map[string]*types.Type{}, typedefs: map[string]*types.Type{}, consts: map[string]Const{}, own: map[string]bool{},
	}
	predefined := "#define __x86_64__ 1\n#define __LP64__ 1\n#define __linux__ 1\n#define __STDC__ 1\n#define __STDC_VERSION__ 201112L\n" +
		"#define __GNUC__ 4\n#define __GNUC_MINOR__ 2\n#define __CHAR_BIT__ 8\n#define __BYTE_ORDER__ 1234\n#define __ORDER_LITTLE_ENDIAN__ 1234\n" +
		"#define __ORDER_BIG_ENDIAN__ 4321\n#define __SIZEOF_LONG__ 8\n#define __SIZEOF_POINTER__ 8\n"
	for _, k := range sortedKeys(opts.Defines) {
		predefined += "#define " + k + " " + opts.Defines[k] + "\n"
	}
	u.preprocess(fileLines(source.NewFile("<predefined>", predefined)))
	for _, m := range u.macros {
		m.given = true
	}
	u.defines = nil
	return u
}

func sortedKeys(m map[string]string) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// Add parses one more C section, which consists of the given parts of files. A
// conditional may extend over several of them.
func (u *Decls) Add(spans ...source.Span) {
	u.toks, u.pos = u.toks[:0], 0
	var lines []line
	for _, s := range spans {
		lines = append(lines, scanLines(s.File, s.Start, s.End)...)
	}
	u.preprocess(lines)
	u.declarations()
}

// Type returns a type that the C text defines: "struct x", "union x", "enum x", or the
// bare name of a typedef. It returns nil if there is none.
//
//go:noinline
func (u *Decls) Type(name string) *types.Type {
	t := u.tags[name]
	if t == nil {
		t = u.typedefs[name]
	}
	if t == nil || t.Kind == types.Struct && t.Comp == nil {
		return nil
	}
	return t
}

// TypeNames returns the names of all types, in order of definition.
func (u *Decls) TypeNames() []string { return u.names }

// Const returns an enum constant, or an object-like macro whose body is a constant
// expression or a string.
func (u *Decls) Const(name string) (Const, bool) {
	if c, ok := u.consts[name]; ok {
		return c, true
	}
	if !u.IsObjectMacro(name) {
		return Const{}, false
	}
	body := u.expandAll([]token{{kind: tIdent, text: name}})
	if len(body) > 0 && body[0].kind == tString {
		var s bytes.Buffer
		for _, t := range body {
			part, err := strconv.Unquote(t.text)
			if t.kind != tString || err != nil {
				return Const{}, false
			}
			s.WriteString(part)
		}
		return Const{Str: s.String(), IsStr: true}, true
	}
	n, err := u.constNumber(body)
	if err != nil {
		return Const{}, false
	}
	return Const{Int: n.v, Unsigned: n.v < 0 && n.unsigned}, true
}

// ConstNames returns all enum constants and object-like macros.
func (u *Decls) ConstNames() []string {
	names := slices.Clone(u.defines)
	for n := range u.consts {
		names = append(names, n)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

//go:noinline
func (u *Decls) errorf(at source.Span, format string, args ...any) {
	u.errorHint(at, "", format, args...)
}

// errorHint is errorf with a hint.
func (u *Decls) errorHint(at source.Span, hint, format string, args ...any) {
	msg := fmt.Sprintf(format, args...)
	if u.header { // reported at the #include, with the position in the header
		msg = fmt.Sprintf("%s: %s", at, msg)
		at = u.headerAt
	} else if at.File != nil && strings.HasPrefix(at.File.Name, "<") {
		at = source.Span{}
	}
	u.diags.ErrorHint(at, hint, "%s", msg)
}

func (u *Decls) constExpr(toks []token) (int64, error) {
	n, err := u.constNumber(toks)
	return n.v, err
}

// constNumber evaluates a constant expression and returns it with its type.
func (u *Decls) constNumber(toks []token) (number, error) {
	p := &exprParser{
		toks: toks,
		name: func(n string) (int64, bool) {
			c, ok := u.consts[n]
			if !ok {
				c, ok = u.Known(n)
			}
			return c.Int, ok && !c.IsStr
		},
		isType: u.startsType,
		typeName: func(p *exprParser) (*types.Type, bool) {
			sub := &Decls{opts: u.opts, diags: &source.Diags{}, macros: u.macros, tags: u.tags, typedefs: u.typedefs, consts: u.consts, own: u.own, nest: u.nest + 1}
			sub.toks, sub.pos = p.toks, p.pos
			t, ok := sub.typeName()
			p.pos = sub.pos
			return t, ok && sub.nest <= maxNest
		},
	}
	return p.number()
}
