package bpf

import "github.com/gotrace/gotrace/codegen/ir"

// distrust casts the current task before pointers are read from it. For each pointer that
// is read from an object that the kernel's verifier trusts, the verifier searches all types
// by name three times, to find out whether to trust that pointer too. It does not do so for
// objects that bpf_rdonly_cast returns, and it replaces the call by a move. Helpers get the
// task itself. If a call gets another object, nothing changes, because helpers refuse
// objects that were read from one that is not trusted.
func distrust(f *ir.Func, t *Target) {
	follows := map[*ir.Value]bool{}
	for _, b := range f.Blocks {
		for _, v := range b.Values {
			switch {
			case v.Loads(8) && v.Type == ir.PtrBTF && isTask(v.Args[0]):
				follows[v.Args[0]] = true
			case v.Calls() && v.Help != ir.ReadKernel && v.Help != ir.ReadKernelStr:
				for _, x := range v.Args {
					if x.Type == ir.PtrBTF && !isTask(x) {
						return
					}
				}
			}
		}
	}
	if len(follows) == 0 || t.Cast == nil {
		return
	}
	cast, number := t.Cast()
	if cast == 0 || number == 0 {
		return
	}
	tasks := map[*ir.Value]*ir.Value{} // by the cast
	for _, b := range f.Blocks {
		var out []*ir.Value
		for _, v := range b.Values {
			if follows[v] {
				task, id := f.NewValue(b, ir.OpCall, ir.PtrBTF), f.NewValue(b, ir.OpConst, ir.Int)
				task.Help, task.Pos, id.Imm, id.Pos = v.Help, v.Pos, number, v.Pos
				v.Op, v.Help, v.Name, v.Imm, v.Args = ir.OpKfunc, nil, "bpf_rdonly_cast", cast, []*ir.Value{task, id}
				tasks[v] = task
				out = append(out, task, id)
			}
			out = append(out, v)
		}
		b.Values = out
	}
	for _, b := range f.Blocks {
		for _, v := range b.Values {
			if !v.Calls() {
				continue
			}
			for i, x := range v.Args {
				if task := tasks[x]; task != nil {
					v.Args[i] = task
				}
			}
		}
	}
}

func isTask(v *ir.Value) bool { return v.Help == ir.CurrentTaskBTF }
