"""What happens to the index when processes die, power fails, disks fill up and bytes rot.

`layers` holds file layers that count, fail, kill, remember or record every single operation; `scenarios` what a process
is doing meanwhile; `power` computes the disks that a power failure may leave behind.
"""
