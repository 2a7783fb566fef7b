package probes

// kernelCall is the Call of kinds at functions of the kernel.
func kernelCall(p *Point) (key, name string, returns bool) {
	if p.Offset != 0 || p.HasAddr || p.Func == "" {
		return "", "", false
	}
	return "kernel:" + p.Func, p.Func, p.Kind.OnReturn
}

// userCall is the Call of kinds at functions of processes.
func userCall(p *Point) (key, name string, returns bool) {
	if p.Func == "" || p.HasAddr || p.Offset != 0 && !p.AtInsn {
		return "", "", false
	}
	return "user:" + p.File + ":" + p.Func, p.Func, p.Kind.OnReturn
}

// syscallCall is the Call of tracepoints. Tracepoints of system calls are at calls or
// returns.
func syscallCall(p *Point) (key, name string, returns bool) {
	side, name, ok := sideOf(p.Func)
	if !ok || p.Target != "syscalls" {
		return "", "", false
	}
	return "syscall:" + name, name, side == syscallEvents[1]
}
