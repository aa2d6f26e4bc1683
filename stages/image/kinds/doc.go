// Package kinds holds no code: its tests make an image of every kind of
// application, run each in its own root file system and ask it over HTTP.
package kinds
