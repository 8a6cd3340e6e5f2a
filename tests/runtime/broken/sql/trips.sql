SELECT * FROM trips WHERE day = @date
