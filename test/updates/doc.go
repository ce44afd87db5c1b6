// Package updates tests blueprint/renovate.json5: that every version that the blueprint pins
// has somebody who moves it, and which way each kind of update goes.
package updates
