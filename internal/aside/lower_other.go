//go:build !linux

package aside

func lower() {}
