package jre

// safeModules are linked into every base, as far as the JDK has them: what
// programs use by name, through a service or from outside, where no scan of
// classes can see it. Sizes are bytes in lib/modules and lib, JDK 17; what
// they require comes on top. Modules that are used by naming their classes
// (java.sql, java.xml, java.net.http, java.desktop, …) are found by the scan.
func safeModules() []string {
	return []string{
		"java.base",
		"java.instrument",      //   79 kB: -javaagent, as every tracing and profiling agent asks for
		"java.logging",         //  227 kB: System.Logger and the JDK's own log lines end there
		"java.management",      // 1799 kB: the platform MBeans that health and metrics libraries look for
		"java.management.rmi",  //  201 kB: JMX from outside (with java.rmi, 472 kB)
		"java.naming",          //  954 kB: JNDI, named in strings; LDAP
		"jdk.charsets",         // 2035 kB: Charset.forName of EBCDIC, ISO-2022, Windows-31J and other old ones
		"jdk.crypto.ec",        //  261 kB: elliptic curves, without which most TLS servers refuse; empty since 22
		"jdk.jfr",              // 1318 kB: -XX:StartFlightRecording in production
		"jdk.management",       //  149 kB: com.sun.management beans: container memory, CPU load, open files
		"jdk.management.agent", //  170 kB: -Dcom.sun.management.jmxremote
		"jdk.management.jfr",   //  104 kB: flight recordings by JMX
		"jdk.naming.dns",       //  113 kB: dns: lookups by JNDI: SRV records (mongodb+srv, service discovery)
		"jdk.net",              //   52 kB: keep-alive socket options that HTTP clients load by name
		"jdk.random",           //   33 kB: RandomGenerator.getDefault() fails without it; part of java.base later
		"jdk.unsupported",      //   35 kB: sun.misc.Unsafe and Signal, loaded by name for lack of a public way
		"jdk.zipfs",            //  206 kB: FileSystems.newFileSystem on jars: resource scanners
	}
}

// companions are modules that come with another one, for the same reasons.
func companions() map[string][]string {
	return map[string][]string{
		// Kerberos: the login module and the SASL mechanism are named in
		// configuration, the classes in the program are java.security.jgss's.
		"java.security.jgss": {"jdk.security.auth", "jdk.security.jgss"},
	}
}
