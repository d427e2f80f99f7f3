"""Does a finished run hold what its record says, and do its scores come out again?"""
