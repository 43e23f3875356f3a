//go:build race

package fanfare_test

const raceDetector = true
