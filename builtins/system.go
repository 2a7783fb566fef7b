package builtins

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/gotrace/gotrace/runtime/object"
)

// commandPatience is the time that a command has to end after SIGTERM. After that it is
// killed, and its remaining output is discarded.
const commandPatience = 200 * time.Millisecond

func system() *Def {
	return &Def{
		Name:   "system",
		Kind:   Action,
		Traits: Traits{Unsafe: true},
		Records: Records{Outside: true,
			Sends: []Sent{{Lits: []any{(*object.Message)(nil)}}},
			Handle: func(env Env, rec *object.Record) error {
				out, err := runCommand(env.Outside(), renderRecord(env, rec), env.Err())
				env.Out().Printf("syscall", string(out))
				switch exit := (*exec.ExitError)(nil); {
				case err == nil:
				case errors.As(err, &exit) && !exit.Exited() && env.Outside().Err() != nil:
					if len(out) > 0 {
						return nil // its output is incomplete
					}
					return ErrGivenUp
				case !errors.As(err, &exit):
					env.Fail("system: %v", err)
				case exit.Exited():
					env.Fail("command exited with code %d", exit.ExitCode())
				default:
					env.Fail("command ended by %s", exit)
				}
				return nil
			},
		},
		Params: formatParams,
		Doc: Doc{
			Summary:  "Runs a shell command and prints its output. The command is a format with arguments, as for printf. Needs --unsafe.",
			Examples: []string{`tracepoint:syscalls:sys_enter_execve { system("ps -p %d\n", pid); }`},
		},
		Check: checkMessage,
		Emit:  sendMessage,
	}
}

// runCommand runs a shell command and returns the output of the command and of all
// processes that it started. When ctx is done, it sends SIGTERM to the command.
func runCommand(ctx context.Context, command string, stderr io.Writer) (out []byte, err error) {
	stdoutR, stdoutW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer stdoutR.Close()
	stderrR, stderrW, err := os.Pipe()
	if err != nil {
		stdoutW.Close()
		return nil, err
	}
	defer stderrR.Close()
	cmd := exec.Command("/bin/sh", "-c", command)
	cmd.Stdout, cmd.Stderr = stdoutW, stderrW
	err = cmd.Start()
	stdoutW.Close()
	stderrW.Close()
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() {
		cmd.Process.Signal(syscall.SIGTERM)
		deadline := time.Now().Add(commandPatience)
		stdoutR.SetReadDeadline(deadline)
		stderrR.SetReadDeadline(deadline)
		time.AfterFunc(commandPatience, func() { cmd.Process.Kill() })
	})()
	copied := make(chan struct{})
	go func() {
		io.Copy(stderr, stderrR)
		close(copied)
	}()
	out, _ = io.ReadAll(stdoutR)
	<-copied
	return out, cmd.Wait()
}
