package jre

import "strings"

// optionsFile is where a base has its default options when jlink cannot put
// them into the runtime; in the form of HotSpot's settings files.
const optionsFile = javaHome + "/lib/defaults.flags"

// linksOptions tells whether jlink knows --add-options, which came with JDK 15
// (JDK-8232080).
func (j JDK) linksOptions() bool { return j.Major >= 15 }

// defaultOptions are those that the base's JVM starts with. They have the least
// weight: JAVA_TOOL_OPTIONS, JDK_JAVA_OPTIONS and the command line replace
// each. docs/image.md has the measurements.
func (j JDK) defaultOptions() []string {
	options := []string{
		// The JVM's own default, a quarter, leaves most of a task unused;
		// three quarters of 512 MB leave too little for metaspace, code,
		// threads and buffers, and the kernel kills the task.
		"-XX:MaxRAMPercentage=" + maxHeap,
		// Without it a thread dies of OutOfMemoryError, the others go on, and
		// the health checks may still be answered. With it ECS starts a new
		// task.
		"-XX:+ExitOnOutOfMemoryError",
	}
	options = append(options, startOptions()...)
	if j.linksOptions() {
		// The JVM's own warnings go to standard output, into the middle of
		// JSON logs.
		options = append(options, "-Xlog:disable", "-Xlog:all=warning:stderr:uptime,level,tags")
	}
	return options
}

// startOptions make a start cheaper, trained or not.
func startOptions() []string {
	return []string{
		// The JVM begins with a 64th of the memory, 16 MB of 1 GB, and
		// collects its way up from there.
		"-XX:InitialRAMPercentage=" + firstHeap,
		// It collects the whole heap when its classes take 21 MB for the
		// first time. A Spring application has 100.
		"-XX:MetaspaceSize=128m",
		// On one processor the optimising compiler takes a third of the
		// start from the application, for methods that only the start calls
		// so often. Ten times the JVM's own thresholds leave it those that
		// requests call too, and the code that it makes is the same.
		"-XX:Tier4InvocationThreshold=50000",
		"-XX:Tier4MinInvocationThreshold=6000",
		"-XX:Tier4CompileThreshold=150000",
		"-XX:Tier4BackEdgeThreshold=400000",
	}
}

// firstHeap is the share of the container's memory that the heap begins with,
// in percent.
const firstHeap = "25.0"

// maxHeap is the heap's share of the container's memory, in percent.
const maxHeap = "50.0"

// settings are options as HotSpot's -XX:Flags reads them.
func settings(options []string) []byte {
	var b strings.Builder
	for _, o := range options {
		b.WriteString(strings.TrimPrefix(o, "-XX:") + "\n")
	}
	return []byte(b.String())
}
