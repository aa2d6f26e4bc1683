package maven

// Foreseen is a library that the packaged application will most likely have.
type Foreseen struct {
	Name string // slash path below lib/, as the packager will name it: h2-2.4.240.jar
	File string // the jar in Maven's repository, absolute
}
