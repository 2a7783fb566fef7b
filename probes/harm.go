package probes

// harms returns an error if a probe at a place would make the kernel overwrite memory of
// the traced program: Linux 6.18 to 7.1 replace a five-byte nop by a call, which writes
// to the stack below the stack pointer. After their start, functions keep data there.
func harms(e *Env, at *uprobePlace) error {
	if e.Unsafe || at.starts || at.addr == at.entry || !at.exe.Nop5(at.addr) || !e.Kernel.Has(FeatRedZoneLost) {
		return nil
	}
	return usage("the kernel would overwrite data of the program there: Linux 6.18 to 7.1 replace the five-byte nop by a call, without regard to what the function keeps below its stack pointer. Trace the start of the function, or another instruction")
}
