package probes

// Confinement says what -p means for the programs of a kind.
type Confinement uint8

const (
	// ByTask: a program runs only where the current task belongs to the process.
	// This holds for a kind that says nothing.
	ByTask Confinement = iota
	// ByObject: the kind's Context decides, by what is walked over.
	ByObject
	// NotAsked: the probe is about no process (begin, interval …), and -p is not
	// meant to change that.
	NotAsked
	// NoTask: the probe sees things that belong to no process, so -p cannot
	// choose among them.
	NoTask
)

// NewContext returns what a program sees at p, confined to the process that -p
// names where there is one.
func NewContext(e *Env, p *Point) (*Context, error) {
	c, err := p.Kind.Context(e, p)
	if err != nil || e.PID == 0 {
		return c, err
	}
	switch p.Kind.Confine {
	case ByTask:
		c.OnlyPID = e.PID
	case NoTask:
		c.Unconfined = "-p has no effect on " + p.Kind.Name + " probes: what they see belongs to no process"
	}
	return c, nil
}
