package builtins

import (
	"bytes"
	"errors"
	"os/exec"

	"github.com/gotrace/gotrace/runtime/object"
)

func system() *Def {
	return &Def{
		Name:   "system",
		Kind:   Action,
		Unsafe: true,
		Params: formatParams,
		Doc: Doc{
			Summary:  "Runs a shell command, given as to printf, and prints what it prints. Needs --unsafe.",
			Examples: []string{`tracepoint:syscalls:sys_enter_execve { system("ps -p %d\n", pid); }`},
		},
		Check: checkMessage,
		Emit:  sendMessage,
		Handle: func(env Env, rec *object.Record) error {
			cmd := exec.Command("/bin/sh", "-c", renderRecord(env, rec))
			var out bytes.Buffer
			cmd.Stdout = &out
			cmd.Stderr = env.Err()
			err := cmd.Run()
			env.Out().Printf("syscall", out.String())
			switch exit := (*exec.ExitError)(nil); {
			case err == nil:
			case !errors.As(err, &exit):
				env.Fail("system: %v", err)
			case exit.Exited():
				env.Fail("command exited with code %d", exit.ExitCode())
			default:
				env.Fail("command ended by %s", exit)
			}
			return nil
		},
	}
}
