package builtins

import (
	"os"
	"syscall"

	"github.com/gotrace/gotrace/lang/types"
)

func cgroupID() *Def {
	return &Def{
		Name:   "cgroupid",
		Kind:   Function,
		Params: []Param{{Name: "path", Long: true}},
		Doc: Doc{
			Summary:  "ID of the cgroup at a path of the v2 hierarchy, for comparisons with the builtin cgroup.",
			Examples: []string{`tracepoint:syscalls:sys_enter_read /cgroup == cgroupid("/sys/fs/cgroup")/ { @ = count(); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			path, ok := wantString(c, call, 0)
			if !ok {
				return types.TInvalid
			}
			c.Invocation().Needs.SetOnlyNow("the cgroup " + path)
			info, err := os.Stat(path)
			if err != nil {
				c.Errorf(call.Span, "Failed to get cgroupid for path %q: %v", path, err.(*os.PathError).Err)
				return types.TInvalid
			}
			// In cgroupfs a directory's inode number is the cgroup's ID.
			call.Lit = addrLit(info.Sys().(*syscall.Stat_t).Ino)
			return types.TUint64
		},
		Emit: emitLit,
	}
}
