package builtins

// All is the table of builtins, a row each, by topic.
func All() []*Def {
	return []*Def{
		// Who and where.
		pid(), tid(), uid(), gid(), comm(), cgroup(), curtask(), cpu(), ncpus(), numaid(),
		// The probe and its data.
		probe(), probeType(), funcName(), retval(), argN(), args(), kstack(), ustack(),
		// Time and chance.
		nsecs(), elapsed(), jiffies(), random(), wallTime(), strftime(),
		// Aggregations.
		count(), sum(), avg(), minimum(), maximum(), stats(), hist(), lhist(),
		// Output.
		printf(), printValue(), exit(),
		// Maps.
		clearMap(), zeroMap(), deleteEntry(),
		// Strings and addresses.
		str(), ksym(), usym(),
	}
}
