package builtins

import (
	"debug/elf"
	"slices"

	"github.com/gotrace/gotrace/lang/types"
)

func elfInfo() *Def {
	return aboutELF("elf_info", "Type of the ELF file that a uprobe or USDT probe is in: 2 for a program at a fixed address, 3 for any other and for libraries. Known at compile time.",
		`uprobe:/bin/bash:readline { print(elf_info()); }`, types.TInt32,
		func(f *elf.File) *Lit { return &Lit{Int: int64(f.Type)} })
}

func elfIsExe() *Def {
	return aboutELF("elf_is_exe", "Whether the file that a uprobe or USDT probe is in is a program, not a library; known at compile time.",
		`uprobe:/bin/bash:readline { if comptime (elf_is_exe()) { printf("a program\n"); } }`, types.TBool,
		func(f *elf.File) *Lit { return boolLit(isProgram(f)) })
}

// aboutELF returns a builtin that returns a fact about the traced file.
//
//go:noinline
func aboutELF(name, summary, example string, t *types.Type, answer func(*elf.File) *Lit) *Def {
	return &Def{
		Name: name,
		Doc:  Doc{Summary: summary, Examples: []string{example}},
		Check: func(c Checker, call *Call) *types.Type {
			if !inUserspaceProbe(c) {
				c.Errorf(call.Span, "%s can not be used for this probetype: %s", name, kindName(c))
				return types.TInvalid
			}
			p := c.NeedsPoint()
			if p == nil { // the points still share a program
				call.Lit = &Lit{IsBool: t.Kind == types.Bool}
				return t
			}
			f, err := elf.Open(p.Target)
			if err != nil {
				c.Errorf(call.Span, "%s: cannot read %s: %v", name, p.Target, err)
				return types.TInvalid
			}
			defer f.Close()
			call.Lit = answer(f)
			return t
		},
		Emit: emitLit,
	}
}

// isProgram reports whether a file is a program rather than a library. A
// position-independent program differs from a library by a flag, which old linkers do
// not set, or by its interpreter. The C library has an interpreter too, but also a name
// for programs that link to it.
func isProgram(f *elf.File) bool {
	if flags, _ := f.DynValue(elf.DT_FLAGS_1); len(flags) > 0 && elf.DynFlag1(flags[0])&elf.DF_1_PIE != 0 {
		return true
	}
	name, _ := f.DynString(elf.DT_SONAME)
	interp := slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
	return f.Type == elf.ET_EXEC || interp && len(name) == 0
}
